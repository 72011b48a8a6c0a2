package tencentkms_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/vault"
)

// dataKeyOperations calls the operations on data keys that the vault keeps.
func dataKeyOperations(t *testing.T, c *client) {
	key, other := c.create("data-keys", ""), c.create("data-keys-2", "")
	made := c.must("GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_256", "IsHostedByKms": 1, "DataKeyName": "orders", "Description": "all orders",
		"EncryptionContext": `{"tenant":"7"}`, "Tags": []params{{"TagKey": "a", "TagValue": "b"}}})
	id, plain := made["DataKeyId"].(string), made.bytes("Plaintext")
	if made["TagCode"] != 2.0 || len(plain) != 32 || made["KeyId"] != key {
		t.Errorf("GenerateDataKey: %v", made)
	}
	opened := c.must("Decrypt", params{"CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": `{"tenant":"7"}`})
	if !bytes.Equal(opened.bytes("Plaintext"), plain) {
		t.Error("the ciphertext is of another data key")
	}
	if got := c.must("GetDataKeyPlaintext", params{"DataKeyId": id}).bytes("Plaintext"); !bytes.Equal(got, plain) {
		t.Errorf("GetDataKeyPlaintext: %x", got)
	}
	if got := c.must("GetDataKeyCiphertextBlob", params{"DataKeyId": id}); got["CiphertextBlob"] != made["CiphertextBlob"] {
		t.Errorf("GetDataKeyCiphertextBlob: %v", got)
	}
	wantMetadata(t, c, id, key, plain)
	deliverDataKey(t, c, key, id, plain)
	c.must("UpdateDataKeyName", params{"DataKeyId": id, "DataKeyName": "invoices"})
	c.must("UpdateDataKeyDescription", params{"DataKeyId": id, "Description": ""})
	is := func(field string, want any) {
		t.Helper()
		if got := c.must("DescribeDataKey", params{"DataKeyId": id})["DataKeyMetadata"].(map[string]any)[field]; got != want {
			t.Errorf("%s is %v, not %v", field, got, want)
		}
	}
	is("DataKeyName", "invoices")
	is("Description", "")
	c.must("DisableDataKey", params{"DataKeyId": id})
	is("KeyState", "Disabled")
	c.must("EnableDataKey", params{"DataKeyId": id})
	is("KeyState", "Enabled")
	c.must("DisableDataKeys", params{"DataKeyIds": []string{id}})
	c.must("EnableDataKeys", params{"DataKeyIds": []string{id}})
	c.must("DisableDataKeys", params{"DataKeyIds": []string{id}})
	deleted := c.must("ScheduleDataKeyDeletion", params{"DataKeyId": id, "PendingWindowInDays": 7})
	if want := c.vault.Clock.Now().Add(7 * 24 * time.Hour).Unix(); deleted["DeletionDate"] != float64(want) || deleted["DataKeyId"] != id {
		t.Errorf("ScheduleDataKeyDeletion: %v, not %d", deleted, want)
	}
	is("KeyState", "PendingDelete")
	is("DeletionDate", deleted["DeletionDate"])
	if got := c.must("CancelDataKeyDeletion", params{"DataKeyId": id}); got["DataKeyId"] != id {
		t.Errorf("CancelDataKeyDeletion: %v", got)
	}
	is("KeyState", "Disabled")
	importDataKeys(t, c, key, other)
	listDataKeys(t, c, key, id)
}

func wantMetadata(t *testing.T, c *client, id, key string, plain []byte) {
	t.Helper()
	got := c.must("DescribeDataKeys", params{"DataKeyIds": []string{id}})["DataKeyMetadatas"].([]any)[0].(map[string]any)
	want := map[string]any{
		"DataKeyId": id, "KeyId": key, "KeyName": "data-keys", "DataKeyName": "orders", "NumberOfBytes": float64(len(plain)), "Description": "all orders",
		"CreateTime": float64(c.vault.Clock.Now().Unix()), "KeyState": "Enabled", "CreatorUin": 0.0, "CreatorUinString": string(vault.DefaultOwner), "Owner": "user",
		"DeletionDate": 0.0, "Origin": "TENCENT_KMS", "HsmClusterId": "", "ResourceId": "creatorUin/0/" + id, "IsSyncReplica": 0.0,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the metadata is\n%v, not\n%v", got, want)
	}
}

// deliverDataKey gets data keys encrypted to a public key.
func deliverDataKey(t *testing.T, c *client, key, id string, plain []byte) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := smx509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	to := params{"EncryptionPublicKey": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
	same := func(sealed, want []byte) {
		t.Helper()
		if got, err := rsa.DecryptOAEP(sha256.New(), nil, private, sealed, nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("delivered: %x, %v, not %x", got, err, want)
		}
	}
	to["DataKeyId"] = id
	same(c.must("GetDataKeyPlaintext", to).bytes("Plaintext"), plain)
	delete(to, "DataKeyId")
	to["KeyId"], to["NumberOfBytes"], to["IsHostedByKms"], to["DataKeyName"] = key, 20, 1, "delivered"
	made := c.must("GenerateDataKey", to)
	same(made.bytes("Plaintext"), c.must("Decrypt", params{"CiphertextBlob": made["CiphertextBlob"]}).bytes("Plaintext"))
	same(made.bytes("Plaintext"), c.must("GetDataKeyPlaintext", params{"DataKeyId": made["DataKeyId"]}).bytes("Plaintext"))
}

// importDataKeys imports a plaintext and a ciphertext.
func importDataKeys(t *testing.T, c *client, key, other string) {
	t.Helper()
	plain := bytes.Repeat([]byte("k"), 40)
	brought := c.must("ImportDataKey", params{"DataKeyName": "plain", "ImportKeyMaterial": plain, "ImportType": 2, "KeyId": other})
	if got := c.must("GetDataKeyPlaintext", params{"DataKeyId": brought["DataKeyId"]}).bytes("Plaintext"); !bytes.Equal(got, plain) || brought["KeyId"] != other {
		t.Errorf("the imported data key is %x: %v", got, brought)
	}
	made := c.must("GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_128"})
	for name, keyID := range map[string]any{"by-id": key, "without-id": ""} {
		brought = c.must("ImportDataKey", params{"DataKeyName": name, "ImportKeyMaterial": made["CiphertextBlob"], "ImportType": 1, "KeyId": keyID})
		if got := c.must("GetDataKeyPlaintext", params{"DataKeyId": brought["DataKeyId"]}); got["Plaintext"] != made["Plaintext"] || brought["KeyId"] != key {
			t.Errorf("the imported data key is %v: %v", got, brought)
		}
	}
}

// listDataKeys lists the data keys of the operations before: orders (now Disabled), delivered,
// plain under another CMK, by-id and without-id.
func listDataKeys(t *testing.T, c *client, key, disabled string) {
	t.Helper()
	if got := c.must("ListDataKeys", params{"Limit": 2}); got["TotalCount"] != 5.0 || len(got["DataKeys"].([]any)) != 2 {
		t.Errorf("ListDataKeys: %v", got)
	}
	for _, x := range []struct {
		p    params
		want float64
	}{
		{params{}, 5}, {params{"KeyId": key}, 4}, {params{"KeyState": 2}, 1}, {params{"KeyState": 1}, 4}, {params{"KeyState": 3}, 0}, {params{"SearchKeyAlias": "by-"}, 1},
		{params{"SearchKeyAlias": disabled}, 1}, {params{"Origin": "EXTERNAL"}, 3}, {params{"Origin": "TENCENT_KMS"}, 2}, {params{"DataKeyLen": 40}, 1}, {params{"DataKeyLen": int64(1 << 40)}, 0},
		{params{"Role": 1}, 0}, {params{"TagFilters": []params{{"TagKey": "a"}}}, 0}, {params{"OrderType": 1, "Offset": 9}, 5},
	} {
		got := c.must("ListDataKeyDetail", x.p)
		if list := got["DataKeyMetadatas"].([]any); got["TotalCount"] != x.want || x.p["Offset"] == nil && len(list) != int(x.want) || x.p["Offset"] != nil && len(list) != 0 {
			t.Errorf("ListDataKeyDetail %v: %v", x.p, got)
		}
	}
}

// TestDataKeyErrorCodes calls operations on data keys that fail.
func TestDataKeyErrorCodes(t *testing.T) {
	c := newClient(t)
	key, off := c.create("key", ""), c.create("off", "")
	keep := func(key, name string) string {
		return c.must("GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_256", "IsHostedByKms": 1, "DataKeyName": name})["DataKeyId"].(string)
	}
	enabled, disabled, pending, ofOff := keep(key, "enabled"), keep(key, "disabled"), keep(key, "pending"), keep(off, "of-off")
	blob := c.must("GetDataKeyCiphertextBlob", params{"DataKeyId": enabled}).bytes("CiphertextBlob")
	wrong := bytes.Clone(blob)
	wrong[len(wrong)-1] ^= 1
	c.must("DisableDataKeys", params{"DataKeyIds": []string{disabled, pending}})
	c.must("ScheduleDataKeyDeletion", params{"DataKeyId": pending, "PendingWindowInDays": 30})
	c.must("DisableKey", params{"KeyId": off})
	const absent = "22d79428-61d9-41ea-a3c8-525400000000"
	generate := func(change params) params {
		p := params{"KeyId": key, "KeySpec": "AES_256", "IsHostedByKms": 1, "DataKeyName": "new"}
		for name, value := range change {
			p[name] = value
		}
		return p
	}
	bring := func(change params) params {
		p := params{"KeyId": key, "ImportKeyMaterial": []byte("k"), "ImportType": 2, "DataKeyName": "new"}
		for name, value := range change {
			p[name] = value
		}
		return p
	}
	for _, x := range []struct {
		action string
		p      params
		code   string
	}{
		{"GenerateDataKey", generate(params{"DataKeyName": ""}), "MissingParameter"},
		{"GenerateDataKey", generate(params{"IsHostedByKms": 2}), "InvalidParameter"},
		{"GenerateDataKey", generate(params{"DataKeyName": "-a"}), "InvalidParameterValue.InvalidDataKeyName"},
		{"GenerateDataKey", generate(params{"DataKeyName": absent}), "InvalidParameterValue.InvalidDataKeyName"},
		{"GenerateDataKey", generate(params{"DataKeyName": strings.Repeat("a", 61)}), "InvalidParameterValue.InvalidDataKeyName"},
		{"GenerateDataKey", generate(params{"DataKeyName": "enabled"}), "InvalidParameterValue.DataKeyNameAlreadyExists"},
		{"GenerateDataKey", generate(params{"Description": strings.Repeat("a", 101)}), "InvalidParameter"},
		{"GenerateDataKey", generate(params{"HsmClusterId": "none"}), "InvalidParameterValue.InvalidHsmClusterId"},
		{"GenerateDataKey", generate(params{"KeyId": off}), "ResourceUnavailable.CmkDisabled"},
		{"GenerateDataKey", generate(params{"KeyId": absent}), "ResourceUnavailable.CmkNotFound"},
		{"ImportDataKey", bring(params{"DataKeyName": "enabled"}), "InvalidParameterValue.DataKeyNameAlreadyExists"},
		{"ImportDataKey", bring(params{"ImportType": 3}), "InvalidParameterValue.InvalidType"},
		{"ImportDataKey", bring(params{"ImportKeyMaterial": "%"}), "InvalidParameterValue.InvalidImportKeyMaterial"},
		{"ImportDataKey", bring(params{"ImportKeyMaterial": make([]byte, 1025)}), "InvalidParameterValue.InvalidImportKeyMaterial"},
		{"ImportDataKey", bring(params{"KeyId": ""}), "MissingParameter"},
		{"ImportDataKey", bring(params{"KeyId": off}), "ResourceUnavailable.CmkDisabled"},
		{"ImportDataKey", bring(params{"KeyId": absent}), "ResourceUnavailable.CmkNotFound"},
		{"ImportDataKey", bring(params{"ImportType": 1}), "InvalidParameterValue.InvalidImportKeyMaterial"},
		{"ImportDataKey", bring(params{"ImportType": 1, "ImportKeyMaterial": wrong}), "InvalidParameterValue.InvalidImportKeyMaterial"},
		{"ImportDataKey", bring(params{"ImportType": 1, "ImportKeyMaterial": blob, "KeyId": off}), "InvalidParameterValue.InvalidImportKeyMaterial"},
		{"DescribeDataKey", params{"DataKeyId": "enabled"}, "InvalidParameterValue.InvalidDataKeyId"},
		{"DescribeDataKey", params{"DataKeyId": absent}, "ResourceUnavailable.DataKeyNotFound"},
		{"DescribeDataKey", params{"DataKeyId": enabled, "MemberAccount": params{"MemberUin": 1}}, "UnsupportedOperation"},
		{"DescribeDataKeys", params{"DataKeyIds": []string{enabled, enabled}}, "InvalidParameterValue.DuplicatedDataKeyId"},
		{"DescribeDataKeys", params{"DataKeyIds": []string{enabled, absent}}, "ResourceUnavailable.DataKeyNotFound"},
		{"EnableDataKey", params{"DataKeyId": pending}, "ResourceUnavailable.DataKeyStateNotSupport"},
		{"DisableDataKeys", params{"DataKeyIds": []string{enabled, pending}}, "ResourceUnavailable.DataKeyStateNotSupport"},
		{"EnableDataKeys", params{"DataKeyIds": []string{enabled}}, ""},
		{"ScheduleDataKeyDeletion", params{"DataKeyId": enabled, "PendingWindowInDays": 7}, "ResourceUnavailable.DataKeyStateNotSupport"},
		{"ScheduleDataKeyDeletion", params{"DataKeyId": disabled, "PendingWindowInDays": 31}, "InvalidParameter.InvalidPendingWindowInDays"},
		{"CancelDataKeyDeletion", params{"DataKeyId": disabled}, "ResourceUnavailable.DataKeyNotPendingDelete"},
		{"GetDataKeyPlaintext", params{"DataKeyId": disabled}, "ResourceUnavailable.DataKeyDisabled"},
		{"GetDataKeyPlaintext", params{"DataKeyId": pending}, "ResourceUnavailable.DataKeyPendingDelete"},
		{"GetDataKeyPlaintext", params{"DataKeyId": ofOff}, "ResourceUnavailable.CmkDisabled"},
		{"GetDataKeyPlaintext", params{"DataKeyId": enabled, "EncryptionPublicKey": "key"}, "InvalidParameter"},
		{"GetDataKeyCiphertextBlob", params{"DataKeyId": disabled}, "ResourceUnavailable.DataKeyStateNotSupport"},
		{"GetDataKeyCiphertextBlob", params{"DataKeyId": absent}, "ResourceUnavailable.DataKeyNotFound"},
		{"UpdateDataKeyName", params{"DataKeyId": enabled, "DataKeyName": "disabled"}, "InvalidParameterValue.DataKeyNameAlreadyExists"},
		{"UpdateDataKeyName", params{"DataKeyId": enabled}, "MissingParameter"},
		{"UpdateDataKeyDescription", params{"DataKeyId": enabled, "Description": strings.Repeat("a", 101)}, "InvalidParameter"},
		{"UpdateDataKeyDescription", params{"DataKeyId": pending, "Description": "a"}, "ResourceUnavailable.DataKeyStateNotSupport"},
		{"ListDataKeys", params{"Limit": 201}, "InvalidParameter"},
		{"ListDataKeys", params{"HsmClusterId": "none"}, "InvalidParameterValue.InvalidHsmClusterId"},
		{"ListDataKeyDetail", params{"KeyState": 4}, "InvalidParameter"},
		{"ListDataKeyDetail", params{"Origin": "all"}, "InvalidParameter"},
		{"ListDataKeyDetail", params{"MemberAccounts": []params{{"MemberUin": 1}}}, "UnsupportedOperation"},
	} {
		if got := c.call(x.action, x.p); got.code() != x.code {
			t.Errorf("%s %.100v: %v, not %s", x.action, x.p, got["Error"], x.code)
		}
	}
	c.id = guestID
	for _, id := range []string{enabled, absent} {
		if got := c.call("GetDataKeyPlaintext", params{"DataKeyId": id}).code(); got != "UnauthorizedOperation" {
			t.Errorf("by a guest: %s", got)
		}
	}
	c.id = ownerID
	c.vault.Clock.Advance(31 * 24 * time.Hour)
	if got := c.call("DescribeDataKey", params{"DataKeyId": pending}).code(); got != "ResourceUnavailable.DataKeyNotFound" {
		t.Errorf("a data key that was removed: %s", got)
	}
}
