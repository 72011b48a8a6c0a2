package tencentkms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/vault/tencentkms"
)

// TestServedOperations calls every operation that is served over HTTP, and checks results
// outside the vault.
func TestServedOperations(t *testing.T) {
	c := newClient(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *client)
	}{
		{"keys", keyOperations}, {"symmetric", symmetricOperations}, {"delivery", sealedDelivery},
		{"decryption", asymmetricDecryption}, {"signatures", signatures}, {"import", importOperations},
		{"data keys", dataKeyOperations}, {"lists", listOperations}, {"service", serviceOperations},
	} {
		t.Run(part.name, func(t *testing.T) {
			own := *c
			own.t = t
			part.run(t, &own)
		})
	}
	for _, op := range tencentkms.Operations() {
		if op.Served() && !c.called[op.Action] {
			t.Errorf("no test calls %s", op.Action)
		}
	}
}

// state returns a field of the description of a CMK.
func (c *client) state(key, field string) any {
	c.t.Helper()
	return c.must("DescribeKey", params{"KeyId": key})["KeyMetadata"].(map[string]any)[field]
}

func keyOperations(t *testing.T, c *client) {
	created := c.must("CreateKey", params{"Alias": "orders", "Description": "all", "Tags": []params{{"TagKey": "team", "TagValue": "shop"}}})
	key := created["KeyId"].(string)
	if created["KeyState"] != "Enabled" || created["KeyUsage"] != "ENCRYPT_DECRYPT" || created["Alias"] != "orders" || created["CreateTime"].(float64) != float64(c.vault.Clock.Now().Unix()) {
		t.Errorf("created: %v", created)
	}
	is := func(field string, want any) {
		t.Helper()
		if got := c.state(key, field); got != want {
			t.Errorf("%s is %v, not %v", field, got, want)
		}
	}
	is("Owner", "user")
	is("Origin", "TENCENT_KMS")
	is("ResourceId", "creatorUin/0/"+key)
	c.must("UpdateAlias", params{"KeyId": key, "Alias": "invoices"})
	c.must("UpdateKeyDescription", params{"KeyId": key, "Description": ""})
	is("Alias", "invoices")
	is("Description", "")
	c.must("BindCloudResource", params{"KeyId": key, "ProductId": "cos", "ResourceId": "bucket"})
	if got := c.call("DisableKey", params{"KeyId": key}).code(); got != "FailedOperation.CmkUsedByCloudProduct" {
		t.Errorf("DisableKey of a bound CMK: %s", got)
	}
	c.must("UnbindCloudResource", params{"KeyId": key, "ProductId": "cos", "ResourceId": "bucket"})
	c.must("ArchiveKey", params{"KeyId": key})
	is("KeyState", "Archived")
	c.must("CancelKeyArchive", params{"KeyId": key})
	c.must("DisableKeys", params{"KeyIds": []string{key}})
	is("KeyState", "Disabled")
	c.must("EnableKeys", params{"KeyIds": []string{key}})
	c.must("DisableKey", params{"KeyId": key})
	c.must("EnableKey", params{"KeyId": key})
	c.must("DisableKey", params{"KeyId": key})
	deleted := c.must("ScheduleKeyDeletion", params{"KeyId": key, "PendingWindowInDays": 7})
	if want := c.vault.Clock.Now().Add(7 * 24 * time.Hour).Unix(); deleted["DeletionDate"].(float64) != float64(want) || deleted["KeyId"] != key {
		t.Errorf("ScheduleKeyDeletion: %v, not %d", deleted, want)
	}
	is("KeyState", "PendingDelete")
	is("DeletionDate", deleted["DeletionDate"])
	c.must("CancelKeyDeletion", params{"KeyId": key})
	is("KeyState", "Disabled")
	c.must("EnableKey", params{"KeyId": key})
	is("LastRotateTime", 0.0)
	c.vault.Clock.Advance(time.Hour)
	if c.must("RotateKey", params{"KeyId": key})["TaskId"] == "" {
		t.Error("RotateKey returns no TaskId")
	}
	is("LastRotateTime", float64(c.vault.Clock.Now().Unix()))
	rotates := func(want bool, days float64) {
		t.Helper()
		if got := c.must("GetKeyRotationStatus", params{"KeyId": key}); got["KeyRotationEnabled"] != want {
			t.Errorf("GetKeyRotationStatus: %v", got)
		}
		is("KeyRotationEnabled", want)
		is("RotateDays", days)
	}
	rotates(false, 0)
	c.must("EnableKeyRotation", params{"KeyId": key})
	rotates(true, 365)
	c.must("EnableKeyRotation", params{"KeyId": key, "RotateDays": 7})
	rotates(true, 7)
	is("NextRotateTime", float64(c.vault.Clock.Now().Add(7*24*time.Hour).Unix()))
	c.vault.Clock.Advance(8 * 24 * time.Hour)
	is("LastRotateTime", float64(c.vault.Clock.Now().Unix()))
	c.must("DisableKeyRotation", params{"KeyId": key})
	rotates(false, 0)
}

func symmetricOperations(t *testing.T, c *client) {
	key, other := c.create("sym", ""), c.create("sym2", "ENCRYPT_DECRYPT")
	context := `{"tenant":"7"}`
	for _, plain := range [][]byte{{}, []byte("test\n"), bytes.Repeat([]byte("p"), 4096)} {
		sealed := c.must("Encrypt", params{"KeyId": key, "Plaintext": plain, "EncryptionContext": context})
		opened := c.must("Decrypt", params{"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": context})
		if _, there := opened["Plaintext"]; !there || !bytes.Equal(opened.bytes("Plaintext"), plain) || opened["KeyId"] != key || sealed["KeyId"] != key {
			t.Errorf("Decrypt: %v", opened)
		}
	}
	for _, p := range []params{{"KeySpec": "AES_128"}, {"KeySpec": "AES_256"}, {"NumberOfBytes": 77, "KeySpec": "AES_128"}} {
		p["KeyId"] = key
		made := c.must("GenerateDataKey", p)
		size := map[any]int{"AES_128": 16, "AES_256": 32}[p["KeySpec"]]
		if p["NumberOfBytes"] != nil {
			size = 77
		}
		opened := c.must("Decrypt", params{"CiphertextBlob": made["CiphertextBlob"]})
		if got := made.bytes("Plaintext"); len(got) != size || !bytes.Equal(got, opened.bytes("Plaintext")) {
			t.Errorf("GenerateDataKey %v: %v", p, made)
		}
	}
	if got := c.must("GenerateRandom", params{"NumberOfBytes": 1024}).bytes("Plaintext"); len(got) != 1024 {
		t.Errorf("GenerateRandom: %d bytes", len(got))
	}
	blob := c.must("Encrypt", params{"KeyId": key, "Plaintext": []byte("p")})["CiphertextBlob"]
	same := c.must("ReEncrypt", params{"CiphertextBlob": blob})
	if same["ReEncrypted"] != false || same["CiphertextBlob"] != blob || same["KeyId"] != key || same["SourceKeyId"] != key {
		t.Errorf("ReEncrypt to the same version: %v", same)
	}
	c.must("RotateKey", params{"KeyId": key})
	for name, p := range map[string]params{
		"new version": {}, "other key": {"DestinationKeyId": other}, "context": {"DestinationEncryptionContext": context},
	} {
		p["CiphertextBlob"] = blob
		got := c.must("ReEncrypt", p)
		opened := c.must("Decrypt", params{"CiphertextBlob": got["CiphertextBlob"], "EncryptionContext": p["DestinationEncryptionContext"]})
		if got["ReEncrypted"] != true || got["SourceKeyId"] != key || got["KeyId"] != opened["KeyId"] || string(opened.bytes("Plaintext")) != "p" {
			t.Errorf("ReEncrypt, %s: %v", name, got)
		}
	}
}

// sealedDelivery opens the plaintexts that are encrypted to a public key with the standard
// library and gmsm.
func sealedDelivery(t *testing.T, c *client) {
	key := c.create("delivery", "")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sm2Key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := func(key any) string {
		der, err := smx509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	plain := []byte("delivered")
	blob := c.must("Encrypt", params{"KeyId": key, "Plaintext": plain})["CiphertextBlob"]
	for _, x := range []struct {
		algorithm string
		public    string
		open      func([]byte) ([]byte, error)
	}{
		{"RSAES_OAEP_SHA_256", public(&rsaKey.PublicKey), func(b []byte) ([]byte, error) {
			return rsa.DecryptOAEP(sha256.New(), nil, rsaKey, b, nil)
		}},
		{"SM2_C1C3C2_ASN1", public(&sm2Key.PublicKey), func(b []byte) ([]byte, error) {
			return sm2Key.Decrypt(nil, b, sm2.ASN1DecrypterOpts)
		}},
		{"SM2", public(&sm2Key.PublicKey), func(b []byte) ([]byte, error) { return sm2.Decrypt(sm2Key, b) }},
		{"", public(&sm2Key.PublicKey), func(b []byte) ([]byte, error) { return sm2.Decrypt(sm2Key, b) }},
	} {
		to := params{"EncryptionPublicKey": x.public, "EncryptionAlgorithm": x.algorithm}
		to["CiphertextBlob"] = blob
		sealed := c.must("Decrypt", to).bytes("Plaintext")
		if got, err := x.open(sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %q %v", x.algorithm, got, err)
		}
		delete(to, "CiphertextBlob")
		to["KeyId"], to["KeySpec"] = key, "AES_256"
		made := c.must("GenerateDataKey", to)
		opened := c.must("Decrypt", params{"CiphertextBlob": made["CiphertextBlob"]}).bytes("Plaintext")
		if got, err := x.open(made.bytes("Plaintext")); err != nil || len(got) != 32 || !bytes.Equal(got, opened) {
			t.Errorf("%s: data key of %d bytes, %v", x.algorithm, len(got), err)
		}
	}
	for algorithm, public := range map[string]string{"RSAES_PKCS1_V1_5": public(&rsaKey.PublicKey), "": public(&rsaKey.PublicKey), "SM2": "no key"} {
		to := params{"CiphertextBlob": blob, "EncryptionPublicKey": public, "EncryptionAlgorithm": algorithm}
		if got := c.call("Decrypt", to).code(); got != "InvalidParameter" {
			t.Errorf("%q: %s", algorithm, got)
		}
	}
}

func asymmetricDecryption(t *testing.T, c *client) {
	key := c.create("rsa", "ASYMMETRIC_DECRYPT_RSA_2048")
	got := c.must("GetPublicKey", params{"KeyId": key})
	block, _ := pem.Decode([]byte(got["PublicKeyPem"].(string)))
	if block == nil || !bytes.Equal(block.Bytes, got.bytes("PublicKey")) {
		t.Fatalf("GetPublicKey: %v", got)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public := parsed.(*rsa.PublicKey)
	plain := []byte("test\n")
	//lint:ignore SA1019 what the vault decrypts has to be made
	pkcs1, _ := rsa.EncryptPKCS1v15(rand.Reader, public, plain)
	oaep1, _ := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, plain, nil)
	oaep256, _ := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, plain, nil)
	for algorithm, ct := range map[string][]byte{"RSAES_PKCS1_V1_5": pkcs1, "RSAES_OAEP_SHA_1": oaep1, "RSAES_OAEP_SHA_256": oaep256} {
		got := c.must("AsymmetricRsaDecrypt", params{"KeyId": key, "Ciphertext": ct, "Algorithm": algorithm})
		if got["Plaintext"] != "dGVzdAo=" || got["KeyId"] != key {
			t.Errorf("%s: %v", algorithm, got)
		}
	}
	if got := c.call("AsymmetricRsaDecrypt", params{"KeyId": key, "Ciphertext": oaep1, "Algorithm": "RSAES_OAEP_SHA_256"}).code(); got != "FailedOperation.DecryptError" {
		t.Errorf("wrong algorithm: %s", got)
	}
	sm2CMK := c.create("sm2", "ASYMMETRIC_DECRYPT_SM2")
	sm2Public, err := smx509.ParsePKIXPublicKey(c.must("GetPublicKey", params{"KeyId": sm2CMK}).bytes("PublicKey"))
	if err != nil {
		t.Fatal(err)
	}
	ct, err := sm2.EncryptASN1(rand.Reader, sm2Public.(*ecdsa.PublicKey), plain)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.must("AsymmetricSm2Decrypt", params{"KeyId": sm2CMK, "Ciphertext": ct}); got["Plaintext"] != "dGVzdAo=" {
		t.Errorf("AsymmetricSm2Decrypt: %v", got)
	}
	if got := c.call("AsymmetricSm2Decrypt", params{"KeyId": key, "Ciphertext": ct}).code(); got != "InvalidParameterValue.InvalidKeyUsage" {
		t.Errorf("SM2 ciphertext to an RSA key: %s", got)
	}
}

// signatures verifies signatures with the standard library and gmsm.
func signatures(t *testing.T, c *client) {
	message := bytes.Repeat([]byte("m"), 4096)
	digest := sha256.Sum256(message)
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	verifiers := map[string]func(public any, sig []byte) bool{
		"RSA_PSS_SHA_256": func(public any, sig []byte) bool {
			return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest[:], sig, pss) == nil
		},
		"RSA_PKCS1_SHA_256": func(public any, sig []byte) bool {
			return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest[:], sig) == nil
		},
		"ECC_P256_R1": func(public any, sig []byte) bool {
			return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest[:], sig)
		},
		"SM2DSA": func(public any, sig []byte) bool {
			return sm2.VerifyASN1WithSM2(public.(*ecdsa.PublicKey), nil, message, sig)
		},
	}
	for _, x := range []struct{ usage, algorithm string }{
		{"ASYMMETRIC_SIGN_VERIFY_RSA_2048", "RSA_PSS_SHA_256"}, {"ASYMMETRIC_SIGN_VERIFY_RSA_2048", "RSA_PKCS1_SHA_256"},
		{"ASYMMETRIC_SIGN_VERIFY_ECC", "ECC_P256_R1"}, {"ASYMMETRIC_SIGN_VERIFY_SM2", "SM2DSA"},
	} {
		key := c.create(x.algorithm, x.usage)
		public, err := smx509.ParsePKIXPublicKey(c.must("GetPublicKey", params{"KeyId": key}).bytes("PublicKey"))
		if err != nil {
			t.Fatal(err)
		}
		p := params{"KeyId": key, "Algorithm": x.algorithm, "Message": message, "MessageType": "RAW"}
		sig := c.must("SignByAsymmetricKey", p).bytes("Signature")
		if !verifiers[x.algorithm](public, sig) {
			t.Errorf("%s: the signature is wrong", x.algorithm)
		}
		for _, good := range []bool{true, false} {
			if !good {
				sig[len(sig)-1] ^= 1
			}
			p["SignatureValue"] = sig
			if got := c.must("VerifyByAsymmetricKey", p); got["SignatureValid"] != good {
				t.Errorf("%s: SignatureValid is %v, not %v", x.algorithm, got["SignatureValid"], good)
			}
		}
		if x.algorithm != "SM2DSA" {
			d := params{"KeyId": key, "Algorithm": x.algorithm, "Message": digest[:], "MessageType": "DIGEST"}
			if !verifiers[x.algorithm](public, c.must("SignByAsymmetricKey", d).bytes("Signature")) {
				t.Errorf("%s: the signature of the digest is wrong", x.algorithm)
			}
		}
	}
}

func importOperations(t *testing.T, c *client) {
	key := c.must("CreateKey", params{"Alias": "ours", "Type": 2})["KeyId"].(string)
	if c.state(key, "KeyState") != "PendingImport" || c.state(key, "Origin") != "EXTERNAL" {
		t.Error("a new external CMK is not PendingImport")
	}
	got := c.must("GetParametersForImport", params{"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_1", "WrappingKeySpec": "RSA_2048"})
	if want := c.vault.Clock.Now().Add(24 * time.Hour).Unix(); got["ParametersValidTo"].(float64) != float64(want) || got["KeyId"] != key {
		t.Errorf("GetParametersForImport: %v", got)
	}
	public, err := x509.ParsePKIXPublicKey(got.bytes("PublicKey"))
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(material []byte) []byte {
		ct, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
		if err != nil {
			t.Fatal(err)
		}
		return ct
	}
	material := bytes.Repeat([]byte{7}, 32)
	material[0] = 1
	validTo := c.vault.Clock.Now().Add(time.Hour).Unix()
	p := params{"KeyId": key, "EncryptedKeyMaterial": wrap(material), "ImportToken": got["ImportToken"], "ValidTo": validTo}
	c.must("ImportKeyMaterial", p)
	if c.state(key, "KeyState") != "Enabled" || c.state(key, "ValidTo") != float64(validTo) {
		t.Errorf("after the import: %v, %v", c.state(key, "KeyState"), c.state(key, "ValidTo"))
	}
	blob := c.must("Encrypt", params{"KeyId": key, "Plaintext": []byte("p")})["CiphertextBlob"]
	p["EncryptedKeyMaterial"] = wrap(bytes.Repeat([]byte{8}, 32))
	if got := c.call("ImportKeyMaterial", p).code(); got != "InvalidParameterValue.MaterialNotMatch" {
		t.Errorf("import of other material: %s", got)
	}
	p["EncryptedKeyMaterial"] = make([]byte, 256)
	if got := c.call("ImportKeyMaterial", p).code(); got != "InvalidParameter.DecryptMaterialError" {
		t.Errorf("import of garbage: %s", got)
	}
	if got := c.call("RotateKey", params{"KeyId": key}).code(); got != "UnsupportedOperation.ExternalCmkCanNotRotate" {
		t.Errorf("RotateKey: %s", got)
	}
	c.must("DeleteImportedKeyMaterial", params{"KeyId": key})
	if got := c.call("Decrypt", params{"CiphertextBlob": blob}).code(); got != "ResourceUnavailable.CmkStateNotSupport" {
		t.Errorf("Decrypt without material: %s", got)
	}
	p["EncryptedKeyMaterial"] = wrap(material)
	if got := c.call("ImportKeyMaterial", p).code(); got != "ResourceUnavailable.TokenExpired" {
		t.Errorf("import with a token that was used: %s", got)
	}
}

func listOperations(t *testing.T, c *client) {
	before := c.must("ListKeyDetail", params{"KeyUsage": "ALL", "Limit": 200})["TotalCount"].(float64)
	var ids []string
	for i := range 12 {
		c.vault.Clock.Advance(time.Second)
		tags := []params{{"TagKey": "half", "TagValue": fmt.Sprint(i % 2)}}
		made := c.must("CreateKey", params{"Alias": fmt.Sprintf("page-%02d", i), "Tags": tags})
		ids = append(ids, made["KeyId"].(string))
	}
	pages := func(action string, p params, field string) (all []string, total float64) {
		for offset := 0; ; {
			p["Offset"] = offset
			got := c.must(action, p)
			list := got[field].([]any)
			if total = got["TotalCount"].(float64); len(list) == 0 {
				return all, total
			}
			for _, k := range list {
				all = append(all, k.(map[string]any)["KeyId"].(string))
			}
			offset += len(list)
		}
	}
	got, total := pages("ListKeyDetail", params{"SearchKeyAlias": "page-", "OrderType": 1, "Limit": 5}, "KeyMetadatas")
	if !slices.Equal(got, ids) || total != 12 {
		t.Errorf("in ascending order: %v of %v, not %v", got, total, ids)
	}
	slices.Reverse(ids)
	if got, _ := pages("ListKeyDetail", params{"SearchKeyAlias": "page-"}, "KeyMetadatas"); !slices.Equal(got, ids) {
		t.Errorf("in descending order: %v, not %v", got, ids)
	}
	half := params{"TagFilters": []params{{"TagKey": "half", "TagValue": []string{"1"}}}}
	if got, total := pages("ListKeyDetail", half, "KeyMetadatas"); len(got) != 6 || total != 6 {
		t.Errorf("by tag: %v", got)
	}
	c.must("DisableKey", params{"KeyId": ids[0]})
	if got, _ := pages("ListKeyDetail", params{"KeyState": 2, "SearchKeyAlias": "page-"}, "KeyMetadatas"); !slices.Equal(got, ids[:1]) {
		t.Errorf("disabled: %v", got)
	}
	if got, total := pages("ListKeys", params{}, "Keys"); total < before+12 || float64(len(got)) != total {
		t.Errorf("ListKeys: %d of %v", len(got), total)
	}
	if got, _ := pages("ListKeys", params{"Role": 1}, "Keys"); len(got) != 0 {
		t.Errorf("CMKs of services: %v", got)
	}
	described := c.must("DescribeKeys", params{"KeyIds": ids})["KeyMetadatas"].([]any)
	for i, k := range described {
		if k.(map[string]any)["KeyId"] != ids[i] {
			t.Errorf("DescribeKeys: %v at %d", k, i)
		}
	}
}

func serviceOperations(t *testing.T, c *client) {
	if got := c.must("GetRegions", nil)["Regions"].([]any); len(got) != 1 || got[0] != "basement" {
		t.Errorf("GetRegions: %v", got)
	}
	if got := c.must("GetServiceStatus", nil); got["ServiceEnabled"] != true || got["InvalidType"] != 1.0 {
		t.Errorf("GetServiceStatus: %v", got)
	}
	got := c.must("ListAlgorithms", nil)
	for field, want := range map[string]params{
		"SymmetricAlgorithms":            {"KeyUsage": "ENCRYPT_DECRYPT", "Algorithm": "AES_256"},
		"AsymmetricAlgorithms":           {"KeyUsage": "ASYMMETRIC_DECRYPT_SM2", "Algorithm": "SM2"},
		"AsymmetricSignVerifyAlgorithms": {"KeyUsage": "ASYMMETRIC_SIGN_VERIFY_SM2", "Algorithm": "SM2DSA"},
	} {
		has := slices.ContainsFunc(got[field].([]any), func(a any) bool {
			m := a.(map[string]any)
			return m["KeyUsage"] == want["KeyUsage"] && m["Algorithm"] == want["Algorithm"]
		})
		if !has {
			t.Errorf("%s lacks %v: %v", field, want, got[field])
		}
	}
}
