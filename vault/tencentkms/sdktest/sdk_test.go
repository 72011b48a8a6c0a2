// Package sdktest runs official clients of Tencent Cloud KMS, unchanged, against package
// tencentkms. It is a module of its own, so that programs that link the vault do not get the
// dependencies of the clients. The module of the package kms of the SDK for Go is the newest that
// the module proxy serves; operations that are newer than it go through the SDK's CommonRequest.
package sdktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	kms "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/kms/v20190118"

	"strongroom.example/vault/tencentkms"
)

// TestSDK calls every operation with the official SDK, those that are not served too.
func TestSDK(t *testing.T) {
	for name, overHTTP := range map[string]bool{"in the process": false, "over HTTP": true} {
		t.Run(name, func(t *testing.T) {
			s := newSession(t, overHTTP)
			s.symmetric()
			s.lifecycle()
			s.rotation()
			s.asymmetric()
			s.imported()
			s.dataKeys()
			s.service()
			s.notServed()
			for _, op := range tencentkms.Operations() {
				want := "yes"
				if !op.Served() {
					want = "`" + op.Refusal + "`"
				}
				if got := s.book.Cell(op.Action); got != want {
					t.Errorf("the result of %s is %s, not %s", op.Action, got, want)
				}
			}
			s.compare(t, columnGo)
		})
	}
}

func (s *session) symmetric() {
	key := s.create("symmetric", "ENCRYPT_DECRYPT", 1)
	context := text(`{"tenant":"7"}`)
	sealed := must(s, s.Encrypt, fill(kms.NewEncryptRequest(), func(r *kms.EncryptRequest) {
		r.KeyId, r.Plaintext, r.EncryptionContext = key, encoded([]byte("test\n")), context
	})).Response
	open := kms.NewDecryptRequest()
	open.CiphertextBlob, open.EncryptionContext = sealed.CiphertextBlob, context
	opened := must(s, s.Decrypt, open).Response
	if *opened.Plaintext != "dGVzdAo=" || *opened.KeyId != *key || *opened.RequestId == "" {
		s.t.Errorf("Decrypt: %s of %s", *opened.Plaintext, *opened.KeyId)
	}
	open.EncryptionContext = nil
	refused(s, kms.INVALIDPARAMETERVALUE_INVALIDCIPHERTEXT, s.Decrypt, open)
	made := must(s, s.GenerateDataKey, fill(kms.NewGenerateDataKeyRequest(), func(r *kms.GenerateDataKeyRequest) {
		r.KeyId, r.KeySpec = key, text("AES_256")
	})).Response
	open.CiphertextBlob = made.CiphertextBlob
	if got := must(s, s.Decrypt, open).Response; len(s.decoded(made.Plaintext)) != 32 || *got.Plaintext != *made.Plaintext {
		s.t.Error("the data key does not decrypt to itself")
	}
	again := must(s, s.ReEncrypt, fill(kms.NewReEncryptRequest(), func(r *kms.ReEncryptRequest) {
		r.CiphertextBlob, r.SourceEncryptionContext = sealed.CiphertextBlob, context
	})).Response
	open.CiphertextBlob = again.CiphertextBlob
	if got := must(s, s.Decrypt, open).Response; !*again.ReEncrypted || *again.SourceKeyId != *key || *got.Plaintext != "dGVzdAo=" {
		s.t.Error("ReEncrypt without a context")
	}
	random := must(s, s.GenerateRandom, fill(kms.NewGenerateRandomRequest(), func(r *kms.GenerateRandomRequest) {
		r.NumberOfBytes = common.Uint64Ptr(64)
	})).Response
	if len(s.decoded(random.Plaintext)) != 64 {
		s.t.Error("GenerateRandom")
	}
}

func (s *session) lifecycle() {
	key := s.create("life", "ENCRYPT_DECRYPT", 1)
	is := func(state string) {
		s.t.Helper()
		got := must(s, s.DescribeKey, fill(kms.NewDescribeKeyRequest(), func(r *kms.DescribeKeyRequest) { r.KeyId = key })).Response
		if *got.KeyMetadata.KeyState != state {
			s.t.Errorf("the CMK is %s, not %s", *got.KeyMetadata.KeyState, state)
		}
	}
	must(s, s.UpdateAlias, fill(kms.NewUpdateAliasRequest(), func(r *kms.UpdateAliasRequest) { r.KeyId, r.Alias = key, text("renamed") }))
	must(s, s.UpdateKeyDescription, fill(kms.NewUpdateKeyDescriptionRequest(), func(r *kms.UpdateKeyDescriptionRequest) {
		r.KeyId, r.Description = key, text("说明")
	}))
	disable := fill(kms.NewDisableKeyRequest(), func(r *kms.DisableKeyRequest) { r.KeyId = key })
	must(s, s.BindCloudResource, fill(kms.NewBindCloudResourceRequest(), func(r *kms.BindCloudResourceRequest) {
		r.KeyId, r.ProductId, r.ResourceId = key, text("cos"), text("bucket")
	}))
	refused(s, kms.FAILEDOPERATION_CMKUSEDBYCLOUDPRODUCT, s.DisableKey, disable)
	unbind := fill(kms.NewUnbindCloudResourceRequest(), func(r *kms.UnbindCloudResourceRequest) {
		r.KeyId, r.ProductId, r.ResourceId = key, text("cos"), text("bucket")
	})
	must(s, s.UnbindCloudResource, unbind)
	refused(s, kms.RESOURCEUNAVAILABLE_CLOUDRESOURCEBINDINGNOTFOUND, s.UnbindCloudResource, unbind)
	must(s, s.DisableKey, disable)
	is("Disabled")
	refused(s, kms.RESOURCEUNAVAILABLE_CMKDISABLED, s.Encrypt, fill(kms.NewEncryptRequest(), func(r *kms.EncryptRequest) {
		r.KeyId, r.Plaintext = key, encoded([]byte("p"))
	}))
	must(s, s.EnableKey, fill(kms.NewEnableKeyRequest(), func(r *kms.EnableKeyRequest) { r.KeyId = key }))
	must(s, s.ArchiveKey, fill(kms.NewArchiveKeyRequest(), func(r *kms.ArchiveKeyRequest) { r.KeyId = key }))
	is("Archived")
	must(s, s.CancelKeyArchive, fill(kms.NewCancelKeyArchiveRequest(), func(r *kms.CancelKeyArchiveRequest) { r.KeyId = key }))
	remove := fill(kms.NewScheduleKeyDeletionRequest(), func(r *kms.ScheduleKeyDeletionRequest) {
		r.KeyId, r.PendingWindowInDays = key, common.Uint64Ptr(7)
	})
	refused(s, kms.RESOURCEUNAVAILABLE_CMKSHOULDBEDISABLED, s.ScheduleKeyDeletion, remove)
	must(s, s.DisableKeys, fill(kms.NewDisableKeysRequest(), func(r *kms.DisableKeysRequest) { r.KeyIds = []*string{key} }))
	if got := must(s, s.ScheduleKeyDeletion, remove).Response; *got.DeletionDate < uint64(s.clock.Now().Add(6*24*time.Hour).Unix()) {
		s.t.Errorf("DeletionDate is %d", *got.DeletionDate)
	}
	is("PendingDelete")
	must(s, s.CancelKeyDeletion, fill(kms.NewCancelKeyDeletionRequest(), func(r *kms.CancelKeyDeletionRequest) { r.KeyId = key }))
	must(s, s.EnableKeys, fill(kms.NewEnableKeysRequest(), func(r *kms.EnableKeysRequest) { r.KeyIds = []*string{key} }))
	is("Enabled")
	listed := must(s, s.ListKeys, kms.NewListKeysRequest()).Response
	detailed := must(s, s.ListKeyDetail, fill(kms.NewListKeyDetailRequest(), func(r *kms.ListKeyDetailRequest) {
		r.SearchKeyAlias = text("rename")
	})).Response
	if int(*listed.TotalCount) != len(listed.Keys) || *detailed.TotalCount != 1 || *detailed.KeyMetadatas[0].Description != "说明" {
		s.t.Error("ListKeys or ListKeyDetail")
	}
	described := must(s, s.DescribeKeys, fill(kms.NewDescribeKeysRequest(), func(r *kms.DescribeKeysRequest) { r.KeyIds = []*string{key} })).Response
	if *described.KeyMetadatas[0].Alias != "renamed" {
		s.t.Error("DescribeKeys")
	}
}

func (s *session) rotation() {
	key := s.create("rotated", "ENCRYPT_DECRYPT", 1)
	enabled := func(want bool) {
		s.t.Helper()
		got := must(s, s.GetKeyRotationStatus, fill(kms.NewGetKeyRotationStatusRequest(), func(r *kms.GetKeyRotationStatusRequest) { r.KeyId = key }))
		if *got.Response.KeyRotationEnabled != want {
			s.t.Errorf("KeyRotationEnabled is %v", !want)
		}
	}
	must(s, s.EnableKeyRotation, fill(kms.NewEnableKeyRotationRequest(), func(r *kms.EnableKeyRotationRequest) {
		r.KeyId, r.RotateDays = key, common.Uint64Ptr(30)
	}))
	enabled(true)
	must(s, s.DisableKeyRotation, fill(kms.NewDisableKeyRotationRequest(), func(r *kms.DisableKeyRotationRequest) { r.KeyId = key }))
	enabled(false)
	// RotateKey is newer than the typed client.
	if got := s.common("RotateKey", map[string]any{"KeyId": *key}); got["TaskId"] == "" {
		s.t.Errorf("RotateKey: %v", got)
	}
}

// dataKeys calls the operations on data keys that the vault keeps. All are newer than the typed
// client.
func (s *session) dataKeys() {
	type p = map[string]any
	key := s.create("data-keys", "ENCRYPT_DECRYPT", 1)
	made := s.common("GenerateDataKey", p{"KeyId": *key, "KeySpec": "AES_256", "IsHostedByKms": 1, "DataKeyName": "orders"})
	id := made["DataKeyId"]
	open := kms.NewDecryptRequest()
	open.CiphertextBlob = text(made["CiphertextBlob"].(string))
	if got := must(s, s.Decrypt, open).Response; *got.Plaintext != made["Plaintext"] || len(s.decoded(got.Plaintext)) != 32 {
		s.t.Error("GenerateDataKey: the ciphertext is of another data key")
	}
	if got := s.common("GetDataKeyPlaintext", p{"DataKeyId": id}); got["Plaintext"] != made["Plaintext"] {
		s.t.Errorf("GetDataKeyPlaintext: %v", got)
	}
	blob := s.common("GetDataKeyCiphertextBlob", p{"DataKeyId": id})["CiphertextBlob"]
	if blob != made["CiphertextBlob"] {
		s.t.Errorf("GetDataKeyCiphertextBlob: %v", blob)
	}
	again := s.common("ImportDataKey", p{"DataKeyName": "again", "ImportKeyMaterial": blob, "ImportType": 1})["DataKeyId"]
	if got := s.common("GetDataKeyPlaintext", p{"DataKeyId": again}); got["Plaintext"] != made["Plaintext"] {
		s.t.Errorf("the imported data key: %v", got)
	}
	s.common("UpdateDataKeyName", p{"DataKeyId": id, "DataKeyName": "invoices"})
	s.common("UpdateDataKeyDescription", p{"DataKeyId": id, "Description": "all"})
	s.common("DisableDataKey", p{"DataKeyId": id})
	s.common("EnableDataKey", p{"DataKeyId": id})
	s.common("DisableDataKeys", p{"DataKeyIds": []any{id, again}})
	s.common("EnableDataKeys", p{"DataKeyIds": []any{again}})
	if got := s.common("ScheduleDataKeyDeletion", p{"DataKeyId": id, "PendingWindowInDays": 7}); got["DeletionDate"].(float64) <= float64(s.clock.Now().Unix()) {
		s.t.Errorf("ScheduleDataKeyDeletion: %v", got)
	}
	is := func(field string, want any) {
		s.t.Helper()
		one := s.common("DescribeDataKey", p{"DataKeyId": id})["DataKeyMetadata"].(p)
		several := s.common("DescribeDataKeys", p{"DataKeyIds": []any{id}})["DataKeyMetadatas"].([]any)[0].(p)
		if one[field] != want || several[field] != want {
			s.t.Errorf("%s is %v and %v, not %v", field, one[field], several[field], want)
		}
	}
	is("KeyState", "PendingDelete")
	is("DataKeyName", "invoices")
	is("KeyId", *key)
	s.common("CancelDataKeyDeletion", p{"DataKeyId": id})
	is("KeyState", "Disabled")
	if got := s.common("ListDataKeys", p{}); got["TotalCount"] != 2.0 {
		s.t.Errorf("ListDataKeys: %v", got)
	}
	if got := s.common("ListDataKeyDetail", p{"KeyState": 2, "KeyId": *key}); got["TotalCount"] != 1.0 || got["DataKeyMetadatas"].([]any)[0].(p)["DataKeyId"] != id {
		s.t.Errorf("ListDataKeyDetail: %v", got)
	}
}

func (s *session) publicKey(key *string) any {
	s.t.Helper()
	got := must(s, s.GetPublicKey, fill(kms.NewGetPublicKeyRequest(), func(r *kms.GetPublicKeyRequest) { r.KeyId = key }))
	public, err := smx509.ParsePKIXPublicKey(s.decoded(got.Response.PublicKey))
	if err != nil {
		s.t.Fatal(err)
	}
	return public
}

func (s *session) asymmetric() {
	key := s.create("decrypting", "ASYMMETRIC_DECRYPT_RSA_2048", 1)
	ct, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, s.publicKey(key).(*rsa.PublicKey), []byte("test\n"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	opened := must(s, s.AsymmetricRsaDecrypt, fill(kms.NewAsymmetricRsaDecryptRequest(), func(r *kms.AsymmetricRsaDecryptRequest) {
		r.KeyId, r.Ciphertext, r.Algorithm = key, encoded(ct), text("RSAES_OAEP_SHA_256")
	}))
	if *opened.Response.Plaintext != "dGVzdAo=" {
		s.t.Error("AsymmetricRsaDecrypt")
	}
	sm2Key := s.create("sm2", "ASYMMETRIC_DECRYPT_SM2", 1)
	if ct, err = sm2.EncryptASN1(rand.Reader, s.publicKey(sm2Key).(*ecdsa.PublicKey), []byte("test\n")); err != nil {
		s.t.Fatal(err)
	}
	openSM2 := fill(kms.NewAsymmetricSm2DecryptRequest(), func(r *kms.AsymmetricSm2DecryptRequest) {
		r.KeyId, r.Ciphertext = sm2Key, encoded(ct)
	})
	if got := must(s, s.AsymmetricSm2Decrypt, openSM2); *got.Response.Plaintext != "dGVzdAo=" {
		s.t.Error("AsymmetricSm2Decrypt")
	}
	openSM2.Ciphertext = encoded([]byte("no ciphertext"))
	refused(s, kms.FAILEDOPERATION_DECRYPTERROR, s.AsymmetricSm2Decrypt, openSM2)
	signing := s.create("signing", "ASYMMETRIC_SIGN_VERIFY_RSA_2048", 1)
	sig := must(s, s.SignByAsymmetricKey, fill(kms.NewSignByAsymmetricKeyRequest(), func(r *kms.SignByAsymmetricKeyRequest) {
		r.KeyId, r.Algorithm, r.Message = signing, text("RSA_PKCS1_SHA_256"), encoded([]byte("message"))
	})).Response.Signature
	digest := sha256.Sum256([]byte("message"))
	if err := rsa.VerifyPKCS1v15(s.publicKey(signing).(*rsa.PublicKey), crypto.SHA256, digest[:], s.decoded(sig)); err != nil {
		s.t.Error(err)
	}
	verify := kms.NewVerifyByAsymmetricKeyRequest()
	verify.KeyId, verify.Algorithm, verify.SignatureValue = signing, text("RSA_PKCS1_SHA_256"), sig
	for message, want := range map[string]bool{"message": true, "another": false} {
		verify.Message = encoded([]byte(message))
		if got := must(s, s.VerifyByAsymmetricKey, verify); *got.Response.SignatureValid != want {
			s.t.Errorf("SignatureValid of %q is %v", message, !want)
		}
	}
}

func (s *session) imported() {
	key := s.create("imported", "ENCRYPT_DECRYPT", 2)
	params := must(s, s.GetParametersForImport, fill(kms.NewGetParametersForImportRequest(), func(r *kms.GetParametersForImportRequest) {
		r.KeyId, r.WrappingAlgorithm, r.WrappingKeySpec = key, text("RSAES_OAEP_SHA_256"), text("RSA_2048")
	})).Response
	public, err := smx509.ParsePKIXPublicKey(s.decoded(params.PublicKey))
	if err != nil {
		s.t.Fatal(err)
	}
	material := make([]byte, 32)
	rand.Read(material)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	must(s, s.ImportKeyMaterial, fill(kms.NewImportKeyMaterialRequest(), func(r *kms.ImportKeyMaterialRequest) {
		r.KeyId, r.ImportToken, r.EncryptedKeyMaterial = key, params.ImportToken, encoded(wrapped)
	}))
	must(s, s.DeleteImportedKeyMaterial, fill(kms.NewDeleteImportedKeyMaterialRequest(), func(r *kms.DeleteImportedKeyMaterialRequest) { r.KeyId = key }))
	refused(s, kms.UNSUPPORTEDOPERATION_NOTEXTERNALCMK, s.DeleteImportedKeyMaterial,
		fill(kms.NewDeleteImportedKeyMaterialRequest(), func(r *kms.DeleteImportedKeyMaterialRequest) {
			r.KeyId = s.create("generated", "ENCRYPT_DECRYPT", 1)
		}))
}

func (s *session) service() {
	if got := must(s, s.GetRegions, kms.NewGetRegionsRequest()).Response; len(got.Regions) != 1 {
		s.t.Error("GetRegions")
	}
	if got := must(s, s.GetServiceStatus, kms.NewGetServiceStatusRequest()).Response; !*got.ServiceEnabled {
		s.t.Error("GetServiceStatus")
	}
	got := must(s, s.ListAlgorithms, kms.NewListAlgorithmsRequest()).Response
	if len(got.SymmetricAlgorithms) == 0 || len(got.AsymmetricAlgorithms) == 0 || len(got.AsymmetricSignVerifyAlgorithms) == 0 {
		s.t.Error("ListAlgorithms")
	}
}

// notServed calls the operations that the handler refuses.
func (s *session) notServed() {
	const whiteBox, quantum = "ResourceUnavailable.NotPurchased", "UnsupportedOperation"
	refused(s, whiteBox, s.CreateWhiteBoxKey, kms.NewCreateWhiteBoxKeyRequest())
	refused(s, whiteBox, s.DeleteWhiteBoxKey, kms.NewDeleteWhiteBoxKeyRequest())
	refused(s, whiteBox, s.DescribeWhiteBoxDecryptKey, kms.NewDescribeWhiteBoxDecryptKeyRequest())
	refused(s, whiteBox, s.DescribeWhiteBoxDeviceFingerprints, kms.NewDescribeWhiteBoxDeviceFingerprintsRequest())
	refused(s, whiteBox, s.DescribeWhiteBoxKey, kms.NewDescribeWhiteBoxKeyRequest())
	refused(s, whiteBox, s.DescribeWhiteBoxKeyDetails, kms.NewDescribeWhiteBoxKeyDetailsRequest())
	refused(s, whiteBox, s.DescribeWhiteBoxServiceStatus, kms.NewDescribeWhiteBoxServiceStatusRequest())
	refused(s, whiteBox, s.DisableWhiteBoxKey, kms.NewDisableWhiteBoxKeyRequest())
	refused(s, whiteBox, s.DisableWhiteBoxKeys, kms.NewDisableWhiteBoxKeysRequest())
	refused(s, whiteBox, s.EnableWhiteBoxKey, kms.NewEnableWhiteBoxKeyRequest())
	refused(s, whiteBox, s.EnableWhiteBoxKeys, kms.NewEnableWhiteBoxKeysRequest())
	refused(s, whiteBox, s.EncryptByWhiteBox, kms.NewEncryptByWhiteBoxRequest())
	refused(s, whiteBox, s.OverwriteWhiteBoxDeviceFingerprints, kms.NewOverwriteWhiteBoxDeviceFingerprintsRequest())
	refused(s, quantum, s.PostQuantumCryptoDecrypt, kms.NewPostQuantumCryptoDecryptRequest())
	refused(s, quantum, s.PostQuantumCryptoEncrypt, kms.NewPostQuantumCryptoEncryptRequest())
	refused(s, quantum, s.PostQuantumCryptoSign, kms.NewPostQuantumCryptoSignRequest())
	refused(s, quantum, s.PostQuantumCryptoVerify, kms.NewPostQuantumCryptoVerifyRequest())
}

// TestSDKWithAnotherKey signs with a secret key that is wrong.
func TestSDKWithAnotherKey(t *testing.T) {
	s := newSession(t, false)
	s.WithSecretId(secretID, "another key of the same SecretId")
	refused(s, "AuthFailure.SignatureFailure", s.GetRegions, kms.NewGetRegionsRequest())
}

// TestSDKByGET calls operations by GET, which is a setting of the SDK.
func TestSDKByGET(t *testing.T) {
	s := newSession(t, true, func(p *profile.ClientProfile) { p.HttpProfile.ReqMethod = "GET" })
	key := must(s, s.CreateKey, fill(kms.NewCreateKeyRequest(), func(r *kms.CreateKeyRequest) {
		r.Alias, r.Description, r.Tags = text("get"), text("订 单 & ~'*"), []*kms.Tag{{TagKey: text("team"), TagValue: text("shop")}}
	})).Response.KeyId
	tagged := must(s, s.ListKeyDetail, fill(kms.NewListKeyDetailRequest(), func(r *kms.ListKeyDetailRequest) {
		r.Offset, r.Limit, r.TagFilters = common.Uint64Ptr(0), common.Uint64Ptr(5), []*kms.TagFilter{{TagKey: text("team"), TagValue: []*string{text("shop")}}}
	})).Response.KeyMetadatas
	if len(tagged) != 1 || *tagged[0].KeyId != *key || *tagged[0].Description != "订 单 & ~'*" {
		t.Errorf("ListKeyDetail: %v", tagged)
	}
	if got := must(s, s.DescribeKeys, fill(kms.NewDescribeKeysRequest(), func(r *kms.DescribeKeysRequest) { r.KeyIds = []*string{key} })); len(got.Response.KeyMetadatas) != 1 {
		t.Error("DescribeKeys")
	}
	refused(s, "UnsupportedProtocol", s.Encrypt, fill(kms.NewEncryptRequest(), func(r *kms.EncryptRequest) { r.KeyId, r.Plaintext = key, encoded([]byte("p")) }))
}
