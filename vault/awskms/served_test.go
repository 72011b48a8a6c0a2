package awskms_test

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// members returns the names of the members of an object.
func members[M ~map[string]any](object M) []string { return slices.Sorted(maps.Keys(object)) }

// TestShapes compares the members of responses with those that the service documents. The
// module sdktest checks what official clients read from them.
func TestShapes(t *testing.T) {
	c := newClient(t)
	created := c.must("CreateKey", params{"Tags": []params{{"TagKey": "a", "TagValue": "b"}, {"TagKey": "c", "TagValue": ""}}})["KeyMetadata"].(map[string]any)
	want := strings.Fields("AWSAccountId Arn CreationDate CustomerMasterKeySpec Description Enabled EncryptionAlgorithms KeyId KeyManager KeySpec KeyState KeyUsage MultiRegion Origin")
	if got := members(created); !slices.Equal(got, want) {
		t.Errorf("KeyMetadata: %v", got)
	}
	m := created
	key := m["KeyId"].(string)
	if date := m["CreationDate"].(float64); math.Abs(date-float64(c.vault.Clock.Now().UnixMilli())/1000) > 1 {
		t.Errorf("CreationDate: %v", m["CreationDate"])
	}
	if m["Arn"] != prefix+"key/"+key || m["AWSAccountId"] != account || m["KeyManager"] != "CUSTOMER" || m["Origin"] != "AWS_KMS" {
		t.Errorf("KeyMetadata: %v", m)
	}
	c.must("CreateAlias", params{"AliasName": "alias/a/b", "TargetKeyId": m["Arn"]})
	for _, name := range []string{key, prefix + "key/" + key, "alias/a/b", prefix + "alias/a/b"} {
		sealed := c.must("Encrypt", params{"KeyId": name, "Plaintext": []byte("p")})
		if got := members(sealed); sealed["KeyId"] != m["Arn"] || !slices.Equal(got, []string{"CiphertextBlob", "EncryptionAlgorithm", "KeyId"}) {
			t.Errorf("Encrypt under %s: %v", name, sealed)
		}
		opened := c.must("Decrypt", params{"KeyId": name, "CiphertextBlob": sealed["CiphertextBlob"]})
		if got := members(opened); string(opened.bytes("Plaintext")) != "p" || !slices.Equal(got, []string{"EncryptionAlgorithm", "KeyId", "Plaintext"}) {
			t.Errorf("Decrypt under %s: %v", name, opened)
		}
	}
	for _, x := range []struct {
		op   string
		p    params
		want string
	}{
		{"GenerateDataKey", params{"NumberOfBytes": 8}, "CiphertextBlob KeyId Plaintext"},
		{"GenerateDataKeyWithoutPlaintext", params{"KeySpec": "AES_256"}, "CiphertextBlob KeyId"},
		{"GenerateDataKeyPair", params{"KeyPairSpec": "SM2"}, "KeyId KeyPairSpec PrivateKeyCiphertextBlob PrivateKeyPlaintext PublicKey"},
		{"GenerateDataKeyPairWithoutPlaintext", params{"KeyPairSpec": "ECC_NIST_EDWARDS25519"}, "KeyId KeyPairSpec PrivateKeyCiphertextBlob PublicKey"},
		{"GetKeyRotationStatus", nil, "KeyId KeyRotationEnabled"},
		{"EnableKeyRotation", nil, ""},
		{"GetKeyRotationStatus", nil, "KeyId KeyRotationEnabled NextRotationDate RotationPeriodInDays"},
		{"ListResourceTags", params{"Limit": 1}, "NextMarker Tags Truncated"},
		{"ListResourceTags", params{"Limit": 1, "Marker": "1"}, "Tags Truncated"},
		{"ListAliases", nil, "Aliases Truncated"},
		{"ScheduleKeyDeletion", nil, "DeletionDate KeyId KeyState PendingWindowInDays"},
	} {
		p := params{"KeyId": key}
		maps.Copy(p, x.p)
		if got := members(c.must(x.op, p)); !slices.Equal(got, strings.Fields(x.want)) {
			t.Errorf("%s %v: %v", x.op, x.p, got)
		}
	}
	deleted := c.must("DescribeKey", params{"KeyId": key})["KeyMetadata"].(map[string]any)
	if due := float64(c.vault.Clock.Now().Add(30 * 24 * time.Hour).Unix()); deleted["Enabled"] != false || deleted["KeyState"] != "PendingDeletion" || math.Abs(deleted["DeletionDate"].(float64)-due) > 2 {
		t.Errorf("after ScheduleKeyDeletion: %v", deleted)
	}
}

// TestAlgorithms compares the specs and algorithms with the names that the service has.
func TestAlgorithms(t *testing.T) {
	c := newClient(t)
	known := regexp.MustCompile(`^(RSAES_OAEP_SHA_(1|256)|SM2PKE|RSASSA_(PSS|PKCS1_V1_5)_SHA_(256|384|512)|ECDSA_SHA_(256|384|512)|SM2DSA|ED25519_SHA_512|HMAC_SHA_(224|256|384|512))$`)
	for _, x := range []struct {
		spec, usage, field string
		number             int
	}{
		{"RSA_2048", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", 2}, {"RSA_2048", "SIGN_VERIFY", "SigningAlgorithms", 6},
		{"ECC_NIST_P256", "SIGN_VERIFY", "SigningAlgorithms", 1}, {"ECC_NIST_P384", "SIGN_VERIFY", "SigningAlgorithms", 1},
		{"ECC_NIST_P521", "SIGN_VERIFY", "SigningAlgorithms", 1}, {"ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "SigningAlgorithms", 1},
		{"SM2", "SIGN_VERIFY", "SigningAlgorithms", 1}, {"SM2", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", 1},
		{"HMAC_224", "GENERATE_VERIFY_MAC", "MacAlgorithms", 1}, {"HMAC_256", "GENERATE_VERIFY_MAC", "MacAlgorithms", 1},
		{"HMAC_384", "GENERATE_VERIFY_MAC", "MacAlgorithms", 1}, {"HMAC_512", "GENERATE_VERIFY_MAC", "MacAlgorithms", 1},
	} {
		m := c.must("CreateKey", params{"KeySpec": x.spec, "KeyUsage": x.usage})["KeyMetadata"].(map[string]any)
		list, _ := m[x.field].([]any)
		if m["KeySpec"] != x.spec || m["CustomerMasterKeySpec"] != x.spec || m["KeyUsage"] != x.usage || len(list) != x.number {
			t.Errorf("%s %s: %v", x.spec, x.usage, m)
		}
		for _, a := range list {
			if !known.MatchString(a.(string)) {
				t.Errorf("%s: the service has no %v", x.spec, a)
			}
			c.use(m["KeyId"].(string), x.field, a.(string))
		}
	}
}

// use uses a CMK by an algorithm, in both directions.
func (c *client) use(key, field, algorithm string) {
	c.t.Helper()
	message := []byte("message")
	switch field {
	case "EncryptionAlgorithms":
		ct := c.must("Encrypt", params{"KeyId": key, "Plaintext": message, "EncryptionAlgorithm": algorithm})["CiphertextBlob"]
		if got := c.must("Decrypt", params{"KeyId": key, "CiphertextBlob": ct, "EncryptionAlgorithm": algorithm}); string(got.bytes("Plaintext")) != "message" {
			c.t.Errorf("%s: %v", algorithm, got)
		}
	case "SigningAlgorithms":
		sig := c.must("Sign", params{"KeyId": key, "Message": message, "SigningAlgorithm": algorithm})["Signature"]
		if got := c.must("Verify", params{"KeyId": key, "Message": message, "Signature": sig, "SigningAlgorithm": algorithm}); got["SignatureValid"] != true {
			c.t.Errorf("%s: %v", algorithm, got)
		}
	case "MacAlgorithms":
		mac := c.must("GenerateMac", params{"KeyId": key, "Message": message, "MacAlgorithm": algorithm})["Mac"]
		if got := c.must("VerifyMac", params{"KeyId": key, "Message": message, "Mac": mac, "MacAlgorithm": algorithm}); got["MacValid"] != true {
			c.t.Errorf("%s: %v", algorithm, got)
		}
	}
}
