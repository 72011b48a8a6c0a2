package sdktest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/internal/testing/clients"
)

// list is a JSON list of strings.
func list(s ...string) string { return `["` + strings.Join(s, `","`) + `"]` }

// TestCLI runs the command tccli, if it is installed. Its column in the table keeps what the last
// run with it found.
func TestCLI(t *testing.T) {
	clients.Others(t)
	c := newCLI(t)
	key := c.keys()
	c.data(key)
	c.asymmetric()
	c.imported()
	c.dataKeys(key)
	if got := c.must("GetServiceStatus"); got["ServiceEnabled"] != true {
		t.Errorf("GetServiceStatus: %v", got)
	}
	c.must("GetRegions")
	c.must("ListAlgorithms")
	c.refused("ResourceUnavailable.NotPurchased", "DescribeWhiteBoxServiceStatus")
	c.compare(t, columnCLI)
}

// keys runs the commands on CMKs, and returns one.
func (c *cli) keys() string {
	key := c.create("cli", "--Description", "订单", "--Tags", `[{"TagKey":"team","TagValue":"shop"}]`)
	id := []string{"--KeyId", key}
	state := func(want string) {
		c.t.Helper()
		if got := c.must("DescribeKey", id...)["KeyMetadata"].(map[string]any)["KeyState"]; got != want {
			c.t.Errorf("the CMK is %v, not %s", got, want)
		}
	}
	c.must("UpdateAlias", "--KeyId", key, "--Alias", "renamed")
	c.must("UpdateKeyDescription", "--KeyId", key, "--Description", "new")
	if got := c.must("DescribeKeys", "--KeyIds", list(key))["KeyMetadatas"].([]any); got[0].(map[string]any)["Alias"] != "renamed" {
		c.t.Errorf("DescribeKeys: %v", got)
	}
	if got := c.must("ListKeys", "--Limit", "1"); got["TotalCount"] != 1.0 {
		c.t.Errorf("ListKeys: %v", got)
	}
	if got := c.must("ListKeyDetail", "--TagFilters", `[{"TagKey":"team","TagValue":["shop"]}]`); got["TotalCount"] != 1.0 {
		c.t.Errorf("ListKeyDetail: %v", got)
	}
	bucket := append([]string{"--ProductId", "cos", "--ResourceId", "bucket"}, id...)
	c.must("BindCloudResource", bucket...)
	c.refused("FailedOperation.CmkUsedByCloudProduct", "DisableKey", id...)
	c.must("UnbindCloudResource", bucket...)
	c.must("ArchiveKey", id...)
	state("Archived")
	c.must("CancelKeyArchive", id...)
	c.must("DisableKey", id...)
	c.refused("ResourceUnavailable.CmkDisabled", "Encrypt", "--KeyId", key, "--Plaintext", "cA==")
	c.must("EnableKey", id...)
	c.must("DisableKeys", "--KeyIds", list(key))
	c.must("ScheduleKeyDeletion", "--KeyId", key, "--PendingWindowInDays", "7")
	state("PendingDelete")
	c.must("CancelKeyDeletion", id...)
	c.must("EnableKeys", "--KeyIds", list(key))
	state("Enabled")
	c.must("EnableKeyRotation", "--KeyId", key, "--RotateDays", "90")
	if got := c.must("GetKeyRotationStatus", id...); got["KeyRotationEnabled"] != true {
		c.t.Errorf("GetKeyRotationStatus: %v", got)
	}
	c.must("DisableKeyRotation", id...)
	return key
}

// data runs the commands on data.
func (c *cli) data(key string) {
	const context = `{"tenant":"7"}`
	plain := c.base64(bytes.Repeat([]byte("p"), 4096), nil)
	blob := c.must("Encrypt", "--KeyId", key, "--Plaintext", plain, "--EncryptionContext", context)["CiphertextBlob"].(string)
	if got := c.must("Decrypt", "--CiphertextBlob", blob, "--EncryptionContext", context); got["Plaintext"] != plain {
		c.t.Errorf("Decrypt: %v", got)
	}
	c.refused("InvalidParameterValue.InvalidCiphertext", "Decrypt", "--CiphertextBlob", blob)
	c.must("RotateKey", "--KeyId", key)
	moved := c.must("ReEncrypt", "--CiphertextBlob", blob, "--SourceEncryptionContext", context)
	if got := c.must("Decrypt", "--CiphertextBlob", moved["CiphertextBlob"].(string)); moved["ReEncrypted"] != true || got["Plaintext"] != plain {
		c.t.Errorf("ReEncrypt: %v", moved)
	}
	if got := c.must("GenerateDataKey", "--KeyId", key, "--KeySpec", "AES_128"); len(c.bytes(got["Plaintext"])) != 16 {
		c.t.Errorf("GenerateDataKey: %v", got)
	}
	if got := c.must("GenerateRandom", "--NumberOfBytes", "64"); len(c.bytes(got["Plaintext"])) != 64 {
		c.t.Errorf("GenerateRandom: %v", got)
	}
}

// asymmetric runs the commands on asymmetric keys.
func (c *cli) asymmetric() {
	plain := []byte("test\n")
	key := c.create("rsa", "--KeyUsage", "ASYMMETRIC_DECRYPT_RSA_2048")
	ct := c.base64(rsa.EncryptOAEP(sha256.New(), rand.Reader, c.public(key).(*rsa.PublicKey), plain, nil))
	if got := c.must("AsymmetricRsaDecrypt", "--KeyId", key, "--Ciphertext", ct, "--Algorithm", "RSAES_OAEP_SHA_256"); got["Plaintext"] != "dGVzdAo=" {
		c.t.Errorf("AsymmetricRsaDecrypt: %v", got)
	}
	key = c.create("sm2", "--KeyUsage", "ASYMMETRIC_DECRYPT_SM2")
	ct = c.base64(sm2.EncryptASN1(rand.Reader, c.public(key).(*ecdsa.PublicKey), plain))
	if got := c.must("AsymmetricSm2Decrypt", "--KeyId", key, "--Ciphertext", ct); got["Plaintext"] != "dGVzdAo=" {
		c.t.Errorf("AsymmetricSm2Decrypt: %v", got)
	}
	key = c.create("signing", "--KeyUsage", "ASYMMETRIC_SIGN_VERIFY_RSA_2048")
	args := []string{"--KeyId", key, "--Algorithm", "RSA_PKCS1_SHA_256", "--Message", "dGVzdAo="}
	sig := c.must("SignByAsymmetricKey", args...)["Signature"].(string)
	digest := sha256.Sum256(plain)
	if err := rsa.VerifyPKCS1v15(c.public(key).(*rsa.PublicKey), crypto.SHA256, digest[:], c.bytes(sig)); err != nil {
		c.t.Error(err)
	}
	if got := c.must("VerifyByAsymmetricKey", append(args, "--SignatureValue", sig)...); got["SignatureValid"] != true {
		c.t.Errorf("VerifyByAsymmetricKey: %v", got)
	}
}

// imported imports a key in the four steps of the guide.
func (c *cli) imported() {
	key := c.create("own", "--Type", "2")
	got := c.must("GetParametersForImport", "--KeyId", key, "--WrappingAlgorithm", "RSAES_OAEP_SHA_256", "--WrappingKeySpec", "RSA_2048")
	material := make([]byte, 32)
	rand.Read(material)
	wrapped := c.base64(rsa.EncryptOAEP(sha256.New(), rand.Reader, c.parsed(got["PublicKey"]).(*rsa.PublicKey), material, nil))
	c.must("ImportKeyMaterial", "--KeyId", key, "--ImportToken", got["ImportToken"].(string), "--EncryptedKeyMaterial", wrapped)
	c.must("Encrypt", "--KeyId", key, "--Plaintext", "cA==")
	c.must("DeleteImportedKeyMaterial", "--KeyId", key)
}

// dataKeys runs the commands on data keys that the vault keeps.
func (c *cli) dataKeys(key string) {
	made := c.must("GenerateDataKey", "--KeyId", key, "--KeySpec", "AES_256", "--IsHostedByKms", "1", "--DataKeyName", "orders")
	one := made["DataKeyId"].(string)
	id := []string{"--DataKeyId", one}
	if got := c.must("GetDataKeyPlaintext", id...); got["Plaintext"] != made["Plaintext"] {
		c.t.Errorf("GetDataKeyPlaintext: %v", got)
	}
	blob := c.must("GetDataKeyCiphertextBlob", id...)["CiphertextBlob"].(string)
	two := c.must("ImportDataKey", "--DataKeyName", "again", "--ImportKeyMaterial", blob, "--ImportType", "1")["DataKeyId"].(string)
	c.must("UpdateDataKeyName", "--DataKeyId", one, "--DataKeyName", "invoices")
	c.must("UpdateDataKeyDescription", "--DataKeyId", one, "--Description", "all")
	c.must("DisableDataKey", id...)
	c.must("EnableDataKey", id...)
	c.must("DisableDataKeys", "--DataKeyIds", list(one, two))
	c.must("EnableDataKeys", "--DataKeyIds", list(two))
	c.must("ScheduleDataKeyDeletion", "--DataKeyId", one, "--PendingWindowInDays", "7")
	if got := c.must("DescribeDataKey", id...)["DataKeyMetadata"].(map[string]any); got["KeyState"] != "PendingDelete" || got["DataKeyName"] != "invoices" {
		c.t.Errorf("DescribeDataKey: %v", got)
	}
	c.must("CancelDataKeyDeletion", id...)
	c.must("DescribeDataKeys", "--DataKeyIds", list(one, two))
	if got := c.must("ListDataKeys"); got["TotalCount"] != 2.0 {
		c.t.Errorf("ListDataKeys: %v", got)
	}
	if got := c.must("ListDataKeyDetail", "--KeyState", "2"); got["TotalCount"] != 1.0 {
		c.t.Errorf("ListDataKeyDetail: %v", got)
	}
}
