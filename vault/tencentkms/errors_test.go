package tencentkms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
	"strongroom.example/vault/throttle"
	"strongroom.example/vault/vaulttest"
)

// TestErrorCodes calls operations that fail, and compares the codes with those that the
// documentation of each operation has.
func TestErrorCodes(t *testing.T) {
	c := newClient(t)
	key, sign, rsa := c.create("key", ""), c.create("sign", "ASYMMETRIC_SIGN_VERIFY_ECC"), c.create("rsa", "ASYMMETRIC_DECRYPT_RSA_2048")
	disabled, archived, pending := c.create("disabled", ""), c.create("archived", ""), c.create("pending", "")
	external := c.must("CreateKey", params{"Alias": "external", "Type": 2})["KeyId"].(string)
	blob := c.must("Encrypt", params{"KeyId": key, "Plaintext": []byte("p")}).bytes("CiphertextBlob")
	dead := c.must("Encrypt", params{"KeyId": disabled, "Plaintext": []byte("p")}).bytes("CiphertextBlob")
	wrong := bytes.Clone(blob)
	wrong[len(wrong)-1] ^= 1
	c.must("DisableKeys", params{"KeyIds": []string{disabled, pending}})
	c.must("ArchiveKey", params{"KeyId": archived})
	c.must("ScheduleKeyDeletion", params{"KeyId": pending, "PendingWindowInDays": 30})
	const absent = "22d79428-61d9-41ea-a3c8-525400000000"
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("22d79428-61d9-41ea-a3c8-%012d", i)
	}
	import1 := params{"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_1", "WrappingKeySpec": "RSA_2048"}
	message := params{"KeyId": key, "Algorithm": "ECC_P256_R1", "Message": []byte("m")}
	for _, x := range []struct {
		action string
		p      params
		code   string
	}{
		{"CreateKey", nil, "MissingParameter"},
		{"CreateKey", params{"Alias": "key"}, "InvalidParameterValue.AliasAlreadyExists"},
		{"CreateKey", params{"Alias": "kms-mine"}, "InvalidParameterValue.InvalidAlias"},
		{"CreateKey", params{"Alias": "-a"}, "InvalidParameterValue.InvalidAlias"},
		{"CreateKey", params{"Alias": strings.Repeat("a", 61)}, "InvalidParameterValue.InvalidAlias"},
		{"CreateKey", params{"Alias": "a", "KeyUsage": "SIGN"}, "InvalidParameterValue.InvalidKeyUsage"},
		{"CreateKey", params{"Alias": "a", "Type": 3}, "InvalidParameterValue.InvalidType"},
		{"CreateKey", params{"Alias": "a", "Type": 2, "KeyUsage": "ASYMMETRIC_DECRYPT_SM2"}, "InvalidParameterValue.InvalidType"},
		{"CreateKey", params{"Alias": "a", "HsmClusterId": "cls-1"}, "InvalidParameterValue.InvalidHsmClusterId"},
		{"CreateKey", params{"Alias": "a", "Tags": []params{{"TagKey": "k"}, {"TagKey": "k"}}}, "InvalidParameterValue.TagKeysDuplicated"},
		{"CreateKey", params{"Alias": "a", "Description": strings.Repeat("d", 1025)}, "InvalidParameter"},
		{"DescribeKey", params{"KeyId": "key"}, "InvalidParameterValue.InvalidKeyId"},
		{"DescribeKey", params{"KeyId": absent}, "ResourceUnavailable.CmkNotFound"},
		{"DescribeKey", params{"KeyId": key, "MemberAccount": params{"MemberUin": 1}}, "UnsupportedOperation"},
		{"DescribeKeys", params{"KeyIds": []string{}}, "MissingParameter"},
		{"DescribeKeys", params{"KeyIds": []string{key, key}}, "InvalidParameterValue.DuplicatedKeyId"},
		{"DescribeKeys", params{"KeyIds": []string{key, absent}}, "ResourceUnavailable.CmkNotFound"},
		{"DescribeKeys", params{"KeyIds": many}, "InvalidParameter"},
		{"ListKeys", params{"Limit": 201}, "InvalidParameter"},
		{"ListKeys", params{"HsmClusterId": "cls-1"}, "InvalidParameterValue.InvalidHsmClusterId"},
		{"ListKeyDetail", params{"KeyState": 6}, "InvalidParameter"},
		{"ListKeyDetail", params{"MemberAccounts": []params{{"MemberUin": 1}}}, "UnsupportedOperation"},
		{"UpdateAlias", params{"KeyId": key, "Alias": "sign"}, "InvalidParameterValue.AliasAlreadyExists"},
		{"UpdateAlias", params{"KeyId": pending, "Alias": "new"}, "ResourceUnavailable.CmkStateNotSupport"},
		{"UpdateKeyDescription", params{"KeyId": key}, "MissingParameter"},
		{"Encrypt", params{"KeyId": key, "Plaintext": make([]byte, 4097)}, "InvalidParameterValue.InvalidPlaintext"},
		{"Encrypt", params{"KeyId": key, "Plaintext": []byte("p"), "EncryptionContext": `{"a":1}`}, "InvalidParameter"},
		{"Encrypt", params{"KeyId": key, "Plaintext": []byte("p"), "EncryptionContext": `{"a":"` + strings.Repeat("b", 1024) + `"}`}, "InvalidParameter"},
		{"Encrypt", params{"KeyId": disabled, "Plaintext": []byte("p")}, "ResourceUnavailable.CmkDisabled"},
		{"Encrypt", params{"KeyId": archived, "Plaintext": []byte("p")}, "ResourceUnavailable.CmkArchived"},
		{"Encrypt", params{"KeyId": pending, "Plaintext": []byte("p")}, "ResourceUnavailable.KeyPendingDelete"},
		{"Encrypt", params{"KeyId": external, "Plaintext": []byte("p")}, "ResourceUnavailable.CmkStateNotSupport"},
		{"Encrypt", params{"KeyId": sign, "Plaintext": []byte("p")}, "InvalidParameterValue.InvalidKeyUsage"},
		{"Decrypt", params{"CiphertextBlob": []byte("short")}, "InvalidParameterValue.InvalidCiphertext"},
		{"Decrypt", params{"CiphertextBlob": "%"}, "InvalidParameterValue.InvalidCiphertext"},
		{"Decrypt", params{"CiphertextBlob": wrong}, "InvalidParameterValue.InvalidCiphertext"},
		{"Decrypt", params{"CiphertextBlob": blob, "EncryptionContext": `{"a":"b"}`}, "InvalidParameterValue.InvalidCiphertext"},
		{"Decrypt", params{"CiphertextBlob": dead}, "ResourceUnavailable.CmkDisabled"},
		{"ReEncrypt", params{"CiphertextBlob": blob, "DestinationKeyId": "key"}, "InvalidParameterValue.InvalidKeyId"},
		{"ReEncrypt", params{"CiphertextBlob": blob, "DestinationKeyId": disabled}, "ResourceUnavailable.CmkDisabled"},
		{"GenerateDataKey", params{"KeyId": key}, "MissingParameter"},
		{"GenerateDataKey", params{"KeyId": key, "KeySpec": "SM4"}, "InvalidParameter"},
		{"GenerateDataKey", params{"KeyId": key, "NumberOfBytes": 1025}, "InvalidParameter"},
		{"GenerateRandom", params{"NumberOfBytes": 0}, "InvalidParameter"},
		{"GetPublicKey", params{"KeyId": key}, "InvalidParameterValue.InvalidKeyUsage"},
		{"AsymmetricRsaDecrypt", params{"KeyId": rsa, "Ciphertext": []byte("c"), "Algorithm": "RSA"}, "InvalidParameter"},
		{"AsymmetricRsaDecrypt", params{"KeyId": rsa, "Ciphertext": make([]byte, 256), "Algorithm": "RSAES_OAEP_SHA_1"}, "FailedOperation.DecryptError"},
		{"AsymmetricRsaDecrypt", params{"KeyId": sign, "Ciphertext": make([]byte, 256), "Algorithm": "RSAES_OAEP_SHA_1"}, "InvalidParameterValue.InvalidKeyUsage"},
		{"SignByAsymmetricKey", message, "InvalidParameterValue.InvalidKeyUsage"},
		{"SignByAsymmetricKey", params{"KeyId": sign, "Algorithm": "SM2DSA", "Message": []byte("m")}, "InvalidParameter"},
		{"SignByAsymmetricKey", params{"KeyId": sign, "Algorithm": "ECC_P256_R1", "Message": []byte("m"), "MessageType": "DIGEST"}, "InvalidParameter"},
		{"SignByAsymmetricKey", params{"KeyId": sign, "Algorithm": "ECC_P256_R1", "Message": make([]byte, 4097)}, "InvalidParameter"},
		{"VerifyByAsymmetricKey", params{"KeyId": sign, "Algorithm": "ECC_P256_R1", "Message": []byte("m")}, "MissingParameter"},
		{"EnableKey", params{"KeyId": pending}, "ResourceUnavailable.CmkStateNotSupport"},
		{"EnableKeys", params{"KeyIds": []string{disabled, absent}}, "ResourceUnavailable.CmkNotFound"},
		{"ScheduleKeyDeletion", params{"KeyId": key, "PendingWindowInDays": 7}, "ResourceUnavailable.CmkShouldBeDisabled"},
		{"ScheduleKeyDeletion", params{"KeyId": disabled, "PendingWindowInDays": 6}, "InvalidParameter.InvalidPendingWindowInDays"},
		{"ScheduleKeyDeletion", params{"KeyId": disabled, "PendingWindowInDays": 31}, "InvalidParameter.InvalidPendingWindowInDays"},
		{"CancelKeyDeletion", params{"KeyId": key}, "ResourceUnavailable.CmkNotPendingDelete"},
		{"ArchiveKey", params{"KeyId": pending}, "ResourceUnavailable.CmkStateNotSupport"},
		{"CancelKeyArchive", params{"KeyId": key}, "ResourceUnavailable.CmkStateNotSupport"},
		{"RotateKey", params{"KeyId": sign}, "UnsupportedOperation.RotateNotSupported"},
		{"RotateKey", params{"KeyId": archived}, "ResourceUnavailable.CmkStateNotSupport"},
		{"EnableKeyRotation", params{"KeyId": key, "RotateDays": 6}, "InvalidParameter"},
		{"EnableKeyRotation", params{"KeyId": key, "RotateDays": 366}, "InvalidParameter"},
		{"EnableKeyRotation", params{"KeyId": external, "RotateDays": 7}, "UnsupportedOperation.ExternalCmkCanNotRotate"},
		{"EnableKeyRotation", params{"KeyId": sign, "RotateDays": 7}, "UnsupportedOperation.RotateNotSupported"},
		{"BindCloudResource", params{"KeyId": key, "ProductId": "a/b"}, "InvalidParameter"},
		{"UnbindCloudResource", params{"KeyId": key, "ProductId": "cos"}, "ResourceUnavailable.CloudResourceBindingNotFound"},
		{"UnbindCloudResource", params{"KeyId": absent, "ProductId": "cos"}, "ResourceUnavailable.CmkNotFound"},
		{"GetParametersForImport", import1, "UnsupportedOperation.NotExternalCmk"},
		{"GetParametersForImport", params{"KeyId": external, "WrappingAlgorithm": "XOR", "WrappingKeySpec": "RSA_2048"}, "InvalidParameter"},
		{"DeleteImportedKeyMaterial", params{"KeyId": key}, "UnsupportedOperation.NotExternalCmk"},
		{"ImportKeyMaterial", params{"KeyId": external, "EncryptedKeyMaterial": []byte("m"), "ImportToken": []byte("t")}, "ResourceUnavailable.TokenExpired"},
		{"ImportKeyMaterial", params{"KeyId": external, "EncryptedKeyMaterial": []byte("m"), "ImportToken": []byte("t"), "ValidTo": 2147443201}, "InvalidParameter"},
	} {
		if got := c.call(x.action, x.p); got.code() != x.code {
			t.Errorf("%s %.100v: %v, not %s", x.action, x.p, got["Error"], x.code)
		}
	}
	c.id = guestID
	for _, action := range []string{"DescribeKey", "EnableKey"} {
		if got := c.call(action, params{"KeyId": absent}).code(); got != "UnauthorizedOperation" {
			t.Errorf("%s by a guest: %s", action, got)
		}
	}
	c.id = ownerID
	c.vault.Clock.Advance(31 * 24 * time.Hour)
	if got := c.call("EnableKey", params{"KeyId": pending}).code(); got != "ResourceUnavailable.CmkNotFound" {
		t.Errorf("EnableKey of a destroyed CMK: %s", got)
	}
}

// TestQuotas checks the codes of a vault with the quotas of the cloud.
func TestQuotas(t *testing.T) {
	guarded := newClient(t, func(cfg *vault.Config) { cfg.MinRotateInterval = 24 * time.Hour })
	rotated := guarded.create("k", "")
	guarded.must("RotateKey", params{"KeyId": rotated})
	if got := guarded.call("RotateKey", params{"KeyId": rotated}).code(); got != "RequestLimitExceeded.RotateRateLimited" {
		t.Errorf("second rotation in MinRotateInterval: %s", got)
	}
	c := newClient(t, func(cfg *vault.Config) {
		quota := throttle.CloudQuota()
		quota.Classes[throttle.Random] = throttle.Rate{PerSecond: 1}
		cfg.Limiter = throttle.New(quota)
	})
	key := c.create("k", "")
	c.must("RotateKey", params{"KeyId": key})
	if got := c.call("RotateKey", params{"KeyId": key}).code(); got != "RequestLimitExceeded.RotateRateLimited" {
		t.Errorf("second rotation: %s", got)
	}
	c.must("GenerateRandom", params{"NumberOfBytes": 1})
	if got := c.call("GenerateRandom", params{"NumberOfBytes": 1}).code(); got != "RequestLimitExceeded" {
		t.Errorf("second call in a second: %s", got)
	}
}

// TestSMEdition serves a vault of the SM edition.
func TestSMEdition(t *testing.T) {
	c := newClient(t, func(cfg *vault.Config) { cfg.Edition = vault.SM })
	key := c.create("sm", "")
	made := c.must("GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_128"})
	opened := c.must("Decrypt", params{"CiphertextBlob": made["CiphertextBlob"]})
	if c.state(key, "Type") != 4.0 || opened["Plaintext"] != made["Plaintext"] || len(made.bytes("Plaintext")) != 16 {
		t.Errorf("%v, %v, Type %v", made, opened, c.state(key, "Type"))
	}
	list := c.must("ListAlgorithms", nil)["SymmetricAlgorithms"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["Algorithm"] != "SM4" {
		t.Errorf("SymmetricAlgorithms: %v", list)
	}
}

// TestClosedVault checks that the cause of a failure is in the log and not in the response.
func TestClosedVault(t *testing.T) {
	v := vaulttest.New(t)
	var log bytes.Buffer
	h, err := tencentkms.New(v.Vault, tencentkms.Config{Now: v.Clock.Now, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Credentials: []tencentkms.Credential{{SecretID: ownerID, SecretKey: secretKey, Principal: vault.DefaultOwner}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, vault: v, url: "http://kms.local", id: ownerID}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.request("GenerateRandom", []byte(`{"NumberOfBytes":1}`)))
	var got map[string]answer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	a := got["Response"]
	if a.code() != "UnsupportedOperation.ServiceTemporaryUnavailable" || !strings.Contains(log.String(), a["RequestId"].(string)) {
		t.Errorf("%v; log: %s", a, &log)
	}
}

// TestRecordNamesRequest checks that the audit record has the RequestId and the principal.
func TestRecordNamesRequest(t *testing.T) {
	c := newClient(t)
	id := c.must("GenerateRandom", params{"NumberOfBytes": 1})["RequestId"]
	for r, err := range c.vault.As(vault.DefaultOwner).AuditRecords(context.Background(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.RequestID == id && r.Principal == string(vault.DefaultOwner) {
			return
		}
	}
	t.Errorf("no record names the request %v", id)
}
