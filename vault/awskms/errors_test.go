package awskms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
	"strongroom.example/vault/throttle"
	"strongroom.example/vault/vaulttest"
)

// TestErrorCodes calls operations that fail. Each code is one that the service documents for
// the operation, or one of all operations.
func TestErrorCodes(t *testing.T) {
	c := newClient(t)
	key, other := c.create(params{"Tags": []params{{"TagKey": "a", "TagValue": "b"}}}), c.create(nil)
	disabled, pending := c.create(nil), c.create(nil)
	external := c.create(params{"Origin": "EXTERNAL"})
	sign := c.create(params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})
	rsa := c.create(params{"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"})
	mac := c.create(params{"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"})
	c.must("CreateAlias", params{"AliasName": "alias/used", "TargetKeyId": other})
	full := c.create(nil)
	for i := range 50 {
		c.must("CreateAlias", params{"AliasName": fmt.Sprint("alias/full-", i), "TargetKeyId": full})
	}
	blob := c.must("Encrypt", params{"KeyId": key, "Plaintext": []byte("p")}).bytes("CiphertextBlob")
	wrong := bytes.Clone(blob)
	wrong[len(wrong)-1] ^= 1
	c.must("DisableKey", params{"KeyId": disabled})
	c.must("ScheduleKeyDeletion", params{"KeyId": pending})
	const absent = "22d79428-61d9-41ea-a3c8-525400000000"
	plain, message := []byte("p"), []byte("m")
	_, codes := documented(t)
	for _, x := range []struct {
		op   string
		p    params
		code string
	}{
		{"CreateKey", params{"Policy": "{}"}, "UnsupportedOperationException"},
		{"CreateKey", params{"MultiRegion": true}, "UnsupportedOperationException"},
		{"CreateKey", params{"KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"},
		{"CreateKey", params{"KeySpec": "RSA_2048", "KeyUsage": "GENERATE_VERIFY_MAC"}, "ValidationException"},
		{"CreateKey", params{"KeySpec": "RSA_2048", "CustomerMasterKeySpec": "RSA_2048"}, "ValidationException"},
		{"CreateKey", params{"Origin": "EXTERNAL_KEY_STORE"}, "UnsupportedOperationException"},
		{"CreateKey", params{"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1"}, "CustomKeyStoreNotFoundException"},
		{"CreateKey", params{"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "soft"}, "CustomKeyStoreNotFoundException"},
		{"CreateKey", params{"Tags": []params{{"TagKey": "k"}, {"TagKey": "k"}}}, "TagException"},
		{"CreateKey", params{"Tags": []params{{"TagKey": "aws:k"}}}, "TagException"},
		{"CreateKey", params{"Description": strings.Repeat("d", 1025)}, "ValidationException"},
		{"DescribeKey", params{"KeyId": absent}, "NotFoundException"},
		{"DescribeKey", params{"KeyId": "key"}, "NotFoundException"},
		{"DescribeKey", params{"KeyId": "alias/absent"}, "NotFoundException"},
		{"DescribeKey", params{"KeyId": prefix + "key/" + absent}, "NotFoundException"},
		{"DescribeKey", params{"KeyId": "arn:aws:kms:us-east-1:111122223333:key/" + key}, "NotFoundException"},
		{"DescribeKey", params{"KeyId": "arn:aws:s3:::bucket"}, "InvalidArnException"},
		{"Encrypt", params{"KeyId": key, "Plaintext": plain, "GrantTokens": []string{"t"}}, "InvalidGrantTokenException"},
		{"DescribeKey", params{"KeyId": strings.Repeat("k", 2049)}, "ValidationException"},
		{"GetKeyLastUsage", params{"KeyId": "alias/used"}, "NotFoundException"},
		{"GetKeyLastUsage", params{"KeyId": "arn:aws:s3:::bucket"}, "InvalidArnException"},
		{"GetKeyLastUsage", nil, "ValidationException"},
		{"EnableKey", params{"KeyId": "alias/used"}, "NotFoundException"},
		{"EnableKey", params{"KeyId": pending}, "KMSInvalidStateException"},
		{"ListKeys", params{"Limit": 1001}, "ValidationException"},
		{"ListKeys", params{"Marker": "x"}, "InvalidMarkerException"},
		{"ListAliases", params{"Marker": "x"}, "InvalidMarkerException"},
		{"ListAliases", params{"Marker": "x.y"}, "InvalidMarkerException"},
		{"ListAliases", params{"KeyId": key, "Marker": "x"}, "InvalidMarkerException"},
		{"ListAliases", params{"KeyId": absent}, "NotFoundException"},
		{"ListResourceTags", params{"KeyId": key, "Marker": "2"}, "InvalidMarkerException"},
		{"ListKeyRotations", params{"KeyId": key, "IncludeKeyMaterial": "SOME"}, "ValidationException"},
		{"DescribeCustomKeyStores", params{"CustomKeyStoreId": "cks-1"}, "CustomKeyStoreNotFoundException"},
		{"CreateAlias", params{"AliasName": "used", "TargetKeyId": key}, "InvalidAliasNameException"},
		{"CreateAlias", params{"AliasName": "alias/aws/used", "TargetKeyId": key}, "InvalidAliasNameException"},
		{"CreateAlias", params{"AliasName": "alias/a b", "TargetKeyId": key}, "InvalidAliasNameException"},
		{"CreateAlias", params{"AliasName": "alias/used", "TargetKeyId": key}, "AlreadyExistsException"},
		{"CreateAlias", params{"AliasName": "alias/used", "TargetKeyId": other}, "AlreadyExistsException"},
		{"CreateAlias", params{"AliasName": "alias/new", "TargetKeyId": full}, "LimitExceededException"},
		{"UpdateAlias", params{"AliasName": "alias/used", "TargetKeyId": full}, "LimitExceededException"},
		{"CreateAlias", params{"AliasName": "alias/new", "TargetKeyId": pending}, "KMSInvalidStateException"},
		{"CreateAlias", params{"AliasName": "alias/new", "TargetKeyId": absent}, "NotFoundException"},
		{"UpdateAlias", params{"AliasName": "alias/new", "TargetKeyId": key}, "NotFoundException"},
		{"DeleteAlias", params{"AliasName": "alias/new"}, "NotFoundException"},
		{"TagResource", params{"KeyId": key, "Tags": []params{{"TagKey": strings.Repeat("k", 129)}}}, "TagException"},
		{"UpdateKeyDescription", params{"KeyId": key}, "ValidationException"},
		{"Encrypt", params{"KeyId": key, "Plaintext": make([]byte, 4097)}, "ValidationException"},
		{"Encrypt", params{"KeyId": key, "Plaintext": []byte{}}, "ValidationException"},
		{"Encrypt", params{"KeyId": key, "Plaintext": plain, "EncryptionContext": params{"": "a"}}, "ValidationException"},
		{"Encrypt", params{"KeyId": disabled, "Plaintext": plain}, "DisabledException"},
		{"Encrypt", params{"KeyId": pending, "Plaintext": plain}, "KMSInvalidStateException"},
		{"Encrypt", params{"KeyId": external, "Plaintext": plain}, "KMSInvalidStateException"},
		{"Encrypt", params{"KeyId": sign, "Plaintext": plain}, "InvalidKeyUsageException"},
		{"Encrypt", params{"KeyId": key, "Plaintext": plain, "DryRun": true}, "DryRunOperationException"},
		{"Encrypt", params{"KeyId": disabled, "Plaintext": plain, "DryRun": true}, "DisabledException"},
		{"Decrypt", params{"CiphertextBlob": []byte("short")}, "InvalidCiphertextException"},
		{"Decrypt", params{"CiphertextBlob": wrong}, "InvalidCiphertextException"},
		{"Decrypt", params{"CiphertextBlob": make([]byte, 6145)}, "ValidationException"},
		{"Decrypt", params{"CiphertextBlob": blob, "EncryptionContext": params{"a": "b"}}, "InvalidCiphertextException"},
		{"Decrypt", params{"CiphertextBlob": blob, "KeyId": other}, "IncorrectKeyException"},
		{"Decrypt", params{"CiphertextBlob": blob, "KeyId": "alias/used"}, "IncorrectKeyException"},
		{"Decrypt", params{"CiphertextBlob": blob, "DryRun": true}, "DryRunOperationException"},
		{"Decrypt", params{"CiphertextBlob": blob, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, "ValidationException"},
		{"Decrypt", params{"CiphertextBlob": make([]byte, 256), "KeyId": rsa, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, "InvalidCiphertextException"},
		{"Decrypt", params{"CiphertextBlob": make([]byte, 256), "KeyId": sign, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, "InvalidKeyUsageException"},
		{"ReEncrypt", params{"CiphertextBlob": blob, "DestinationKeyId": disabled}, "DisabledException"},
		{"ReEncrypt", params{"CiphertextBlob": blob, "DestinationKeyId": other, "SourceKeyId": other}, "IncorrectKeyException"},
		{"ReEncrypt", params{"CiphertextBlob": blob, "DestinationKeyId": other, "DryRun": true}, "DryRunOperationException"},
		{"GenerateDataKey", params{"KeyId": key}, "ValidationException"},
		{"GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 32}, "ValidationException"},
		{"GenerateDataKey", params{"KeyId": key, "KeySpec": "SM4"}, "ValidationException"},
		{"GenerateDataKey", params{"KeyId": key, "NumberOfBytes": 1025}, "ValidationException"},
		{"GenerateDataKeyWithoutPlaintext", params{"KeyId": sign, "NumberOfBytes": 32}, "InvalidKeyUsageException"},
		{"GenerateRandom", params{"NumberOfBytes": 1, "CustomKeyStoreId": "cks-1"}, "UnsupportedOperationException"},
		{"GenerateRandom", params{"NumberOfBytes": 1, "Recipient": params{}}, "UnsupportedOperationException"},
		{"GetPublicKey", params{"KeyId": key}, "UnsupportedOperationException"},
		{"Sign", params{"KeyId": key, "Message": message, "SigningAlgorithm": "ECDSA_SHA_256"}, "InvalidKeyUsageException"},
		{"Sign", params{"KeyId": sign, "Message": message, "SigningAlgorithm": "ECDSA_SHA_384"}, "InvalidKeyUsageException"},
		{"Sign", params{"KeyId": sign, "Message": message, "SigningAlgorithm": "MD5"}, "ValidationException"},
		{"Sign", params{"KeyId": sign, "Message": message, "SigningAlgorithm": "ECDSA_SHA_256", "MessageType": "DIGEST"}, "ValidationException"},
		{"Sign", params{"KeyId": sign, "Message": make([]byte, 4097), "SigningAlgorithm": "ECDSA_SHA_256"}, "ValidationException"},
		{"Verify", params{"KeyId": sign, "Message": message, "Signature": message, "SigningAlgorithm": "ECDSA_SHA_256"}, "KMSInvalidSignatureException"},
		{"GenerateMac", params{"KeyId": mac, "Message": message, "MacAlgorithm": "HMAC_SHA_512"}, "InvalidKeyUsageException"},
		{"GenerateMac", params{"KeyId": key, "Message": message, "MacAlgorithm": "HMAC_SHA_256"}, "InvalidKeyUsageException"},
		{"VerifyMac", params{"KeyId": mac, "Message": message, "Mac": message, "MacAlgorithm": "HMAC_SHA_256"}, "KMSInvalidMacException"},
		{"ScheduleKeyDeletion", params{"KeyId": key, "PendingWindowInDays": 6}, "ValidationException"},
		{"ScheduleKeyDeletion", params{"KeyId": pending}, "KMSInvalidStateException"},
		{"CancelKeyDeletion", params{"KeyId": key}, "KMSInvalidStateException"},
		{"EnableKeyRotation", params{"KeyId": key, "RotationPeriodInDays": 89}, "ValidationException"},
		{"EnableKeyRotation", params{"KeyId": key, "RotationPeriodInDays": 366}, "UnsupportedOperationException"},
		{"EnableKeyRotation", params{"KeyId": sign}, "UnsupportedOperationException"},
		{"RotateKeyOnDemand", params{"KeyId": sign}, "UnsupportedOperationException"},
		{"RotateKeyOnDemand", params{"KeyId": disabled}, "DisabledException"},
		{"GetParametersForImport", params{"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}, "UnsupportedOperationException"},
		{"GetParametersForImport", params{"KeyId": external, "WrappingAlgorithm": "XOR", "WrappingKeySpec": "RSA_2048"}, "ValidationException"},
		{"GetParametersForImport", params{"KeyId": external, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_4096"}, "UnsupportedOperationException"},
		{"ImportKeyMaterial", params{"KeyId": external, "EncryptedKeyMaterial": message, "ImportToken": message}, "ValidationException"},
		{"ImportKeyMaterial", params{"KeyId": external, "EncryptedKeyMaterial": message, "ImportToken": message, "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}, "InvalidImportTokenException"},
		{"DeleteImportedKeyMaterial", params{"KeyId": key}, "UnsupportedOperationException"},
	} {
		got := c.call(x.op, x.p)
		if got.code() != x.code {
			t.Errorf("%s %.100v: %v, not %s", x.op, x.p, got, x.code)
		}
		if !slices.Contains(codes[x.op], x.code) && !slices.Contains(common, x.code) {
			t.Errorf("%s is not documented for %s", x.code, x.op)
		}
	}
	c.id = guestID
	for _, op := range []string{"DescribeKey", "EnableKey"} {
		if got := c.call(op, params{"KeyId": absent}).code(); got != "AccessDeniedException" {
			t.Errorf("%s by a guest: %s", op, got)
		}
	}
	c.id = ownerID
	c.vault.Clock.Advance(31 * 24 * time.Hour)
	for _, op := range []string{"DescribeKey", "EnableKey"} {
		if got := c.call(op, params{"KeyId": pending}).code(); got != "NotFoundException" {
			t.Errorf("%s of a destroyed key: %s", op, got)
		}
	}
}

// TestQuotas checks the codes of a vault with limits.
func TestQuotas(t *testing.T) {
	c := newClient(t, func(cfg *vault.Config) {
		cfg.MinRotateInterval = 24 * time.Hour
		cfg.Limiter = throttle.New(throttle.Config{Classes: map[throttle.Class]throttle.Rate{throttle.Random: {PerSecond: 1}}})
	})
	key := c.create(nil)
	c.must("RotateKeyOnDemand", params{"KeyId": key})
	if got := c.call("RotateKeyOnDemand", params{"KeyId": key}).code(); got != "LimitExceededException" {
		t.Errorf("second rotation in MinRotateInterval: %s", got)
	}
	c.must("GenerateRandom", params{"NumberOfBytes": 1})
	if got := c.call("GenerateRandom", params{"NumberOfBytes": 1}).code(); got != "ThrottlingException" {
		t.Errorf("second call in a second: %s", got)
	}
}

// TestClosedVault checks that the cause of a failure is in the log and not in the response.
func TestClosedVault(t *testing.T) {
	v := vaulttest.New(t)
	var log bytes.Buffer
	h, err := awskms.New(v.Vault, awskms.Config{Now: v.Clock.Now, Region: region, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Credentials: []awskms.Credential{{AccessKeyID: ownerID, SecretAccessKey: secretKey, Principal: vault.DefaultOwner}}})
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
	a := answer{}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 500 || a.code() != "DependencyTimeoutException" {
		t.Errorf("%d %v %v", w.Code, a, err)
	}
	if !strings.Contains(log.String(), w.Header().Get("x-amzn-RequestId")) {
		t.Errorf("the log lacks the request: %s", &log)
	}
}

// TestRecordNamesRequest checks that the audit record has the request id and the principal.
func TestRecordNamesRequest(t *testing.T) {
	v := vaulttest.New(t)
	h, err := awskms.New(v.Vault, awskms.Config{Now: v.Clock.Now, Region: region,
		Credentials: []awskms.Credential{{AccessKeyID: ownerID, SecretAccessKey: secretKey, Principal: vault.DefaultOwner}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	c := &client{t: t, vault: v, url: "http://kms.local", id: ownerID}
	res, err := h.RoundTripper().RoundTrip(c.request("GenerateRandom", []byte(`{"NumberOfBytes":1}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	c.read(res)
	for r, err := range v.As(vault.DefaultOwner).AuditRecords(context.Background(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.RequestID == res.Header.Get("x-amzn-RequestId") && r.Principal == string(vault.DefaultOwner) {
			return
		}
	}
	t.Error("no record names the request")
}
