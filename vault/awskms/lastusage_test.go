package awskms_test

import (
	"bytes"
	"io"
	"math"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
	"strongroom.example/vault/vaulttest"
)

// lastUsage returns the member KeyLastUsage of the response for a CMK.
func (c *client) lastUsage(key string) map[string]any {
	c.t.Helper()
	return c.must("GetKeyLastUsage", params{"KeyId": key})["KeyLastUsage"].(map[string]any)
}

// isNow reports whether a time of a response is that of the vault's clock.
func (c *client) isNow(stamp any) bool {
	seconds, _ := stamp.(float64)
	return math.Abs(seconds-float64(c.vault.Clock.Now().UnixMilli())/1000) < 0.002
}

// TestLastUsage uses CMKs of each usage, and compares the last use with the operation.
func TestLastUsage(t *testing.T) {
	c := newClient(t)
	key := c.create(nil)
	unused := c.must("GetKeyLastUsage", params{"KeyId": prefix + "key/" + key})
	if got := members(unused); !slices.Equal(got, []string{"KeyCreationDate", "KeyId", "KeyLastUsage", "TrackingStartDate"}) || unused["KeyId"] != key ||
		len(unused["KeyLastUsage"].(map[string]any)) > 0 || unused["TrackingStartDate"] != unused["KeyCreationDate"] || !c.isNow(unused["KeyCreationDate"]) {
		t.Errorf("of a CMK that was not used: %v", unused)
	}
	used := func(key, op, want string, p params) answer {
		t.Helper()
		c.vault.Clock.Advance(time.Hour)
		p["KeyId"] = key
		a := c.must(op, p)
		got := c.lastUsage(key)
		if name, _ := got["Operation"].(string); name != want || !c.isNow(got["Timestamp"]) {
			t.Errorf("after %s: %v", op, got)
		}
		c.vault.Clock.Advance(time.Hour)
		if later := c.lastUsage(key); later["Timestamp"] != got["Timestamp"] {
			t.Errorf("%s, an hour later: %v, not %v", op, later, got)
		}
		return a
	}
	blob := used(key, "Encrypt", "", params{"Plaintext": []byte("p")})["CiphertextBlob"]
	used(key, "Decrypt", "", params{"CiphertextBlob": blob})
	c.must("RotateKeyOnDemand", params{"KeyId": key})
	used(key, "Decrypt", "", params{"CiphertextBlob": blob})
	used(key, "GenerateDataKey", "", params{"NumberOfBytes": 32})
	message := []byte("m")
	sign := c.create(params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})
	signature := used(sign, "Sign", "Sign", params{"Message": message, "SigningAlgorithm": "ECDSA_SHA_256"})["Signature"]
	used(sign, "Verify", "Verify", params{"Message": message, "Signature": signature, "SigningAlgorithm": "ECDSA_SHA_256"})
	mac := c.create(params{"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"})
	tag := used(mac, "GenerateMac", "GenerateMac", params{"Message": message, "MacAlgorithm": "HMAC_SHA_256"})["Mac"]
	used(mac, "VerifyMac", "VerifyMac", params{"Message": message, "Mac": tag, "MacAlgorithm": "HMAC_SHA_256"})
	c.must("GenerateMac", params{"KeyId": mac, "Message": message, "MacAlgorithm": "HMAC_SHA_256"})
	c.must("VerifyMac", params{"KeyId": mac, "Message": message, "Mac": tag, "MacAlgorithm": "HMAC_SHA_256"})
	if got := c.lastUsage(mac)["Operation"]; got != "VerifyMac" {
		t.Errorf("after GenerateMac and VerifyMac at the same time: %v", got)
	}
	sm2 := c.create(params{"KeySpec": "SM2", "KeyUsage": "ENCRYPT_DECRYPT"})
	blob = used(sm2, "Encrypt", "Encrypt", params{"Plaintext": message, "EncryptionAlgorithm": "SM2PKE"})["CiphertextBlob"]
	used(sm2, "Decrypt", "Decrypt", params{"CiphertextBlob": blob, "EncryptionAlgorithm": "SM2PKE"})
}

// TestLastUsageOfAnotherState checks CMKs that cannot be used, principals without a permission,
// and the audit record.
func TestLastUsageOfAnotherState(t *testing.T) {
	c := newClient(t)
	key := c.create(nil)
	c.must("Encrypt", params{"KeyId": key, "Plaintext": []byte("p")})
	want := c.lastUsage(key)
	c.must("ScheduleKeyDeletion", params{"KeyId": key})
	if got := c.lastUsage(key); got["Timestamp"] != want["Timestamp"] || want["Timestamp"] == nil {
		t.Errorf("while pending deletion: %v, not %v", got, want)
	}
	c.must("CreateAlias", params{"AliasName": "alias/used", "TargetKeyId": c.create(nil)})
	if got := c.call("GetKeyLastUsage", params{"KeyId": "alias/used"}).code(); got != "NotFoundException" {
		t.Errorf("by an alias: %s", got)
	}
	c.id = guestID
	if got := c.call("GetKeyLastUsage", params{"KeyId": key}).code(); got != "AccessDeniedException" {
		t.Errorf("by a guest: %s", got)
	}
	c.id = ownerID
	c.vault.Clock.Advance(31 * 24 * time.Hour)
	if got := c.call("GetKeyLastUsage", params{"KeyId": key}).code(); got != "NotFoundException" {
		t.Errorf("of a destroyed key: %s", got)
	}
	allowed, denied := 0, 0
	filter := audit.Filter{Operation: string(vault.OpDescribeKey), Key: key}
	for r, err := range c.vault.As(vault.DefaultOwner).AuditRecords(t.Context(), filter) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Decision == "DENY" && r.Principal == "guest":
			denied++
		case r.RequestID != "" && r.Principal == string(vault.DefaultOwner):
			allowed++
		}
	}
	if allowed != 3 || denied != 1 {
		t.Errorf("%d calls are on record as allowed and %d as denied", allowed, denied)
	}
}

// TestLastUsageAfterRestore checks that a CMK whose later uses may be lost has no
// TrackingStartDate.
func TestLastUsageAfterRestore(t *testing.T) {
	c := newClient(t)
	key := c.create(nil)
	unlock := soft.PassphraseParams{Memory: 8, Time: 1, Iterations: 1}.Passphrase([]byte("backup"))
	var backup bytes.Buffer
	if _, err := c.vault.As(vault.DefaultOwner).Backup(t.Context(), &backup, vault.BackupOptions{}, unlock); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Restore(t.Context(), filepath.Join(t.TempDir(), "vault"), vault.Config{Clock: c.vault.Clock}, []io.Reader{&backup}, unlock, unlock)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	h, err := awskms.New(v, awskms.Config{Now: c.vault.Clock.Now, Region: region,
		Credentials: []awskms.Credential{{AccessKeyID: ownerID, SecretAccessKey: secretKey, Principal: vault.DefaultOwner}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()
	restored := &client{t, &vaulttest.Vault{Vault: v, Clock: c.vault.Clock}, server.URL, ownerID, make(map[string]bool)}
	got := restored.must("GetKeyLastUsage", params{"KeyId": key})
	if names := members(got); !slices.Equal(names, []string{"KeyCreationDate", "KeyId", "KeyLastUsage"}) {
		t.Errorf("after a restore: %v", got)
	}
}
