// Package sdktest runs official clients of AWS KMS, unchanged, against package awskms. It is a
// module of its own, so that programs that link the vault do not get the dependencies of the
// clients.
package sdktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestSDK calls every operation by the SDK for Go, in the process and over HTTP.
func TestSDK(t *testing.T) {
	for name, overHTTP := range map[string]bool{"in process": false, "over HTTP": true} {
		t.Run(name, func(t *testing.T) {
			s := newSession(t, overHTTP)
			for _, part := range []struct {
				name string
				run  func(*session)
			}{
				{"keys", (*session).keys}, {"aliases", (*session).aliases}, {"lifecycle", (*session).lifecycle},
				{"rotation", (*session).rotation}, {"symmetric", (*session).symmetric}, {"asymmetric", (*session).asymmetric}, {"pairs", (*session).pairs},
				{"signatures", (*session).signatures}, {"macs", (*session).macs}, {"last usage", (*session).lastUsage}, {"import", (*session).imported},
				{"refused", (*session).refusedOperations}, {"dry runs", (*session).dryRuns},
			} {
				t.Run(part.name, func(t *testing.T) {
					own := *s
					own.t = t
					part.run(&own)
				})
			}
			compare(t, columnGo, s.book.Cell)
		})
	}
}

func (s *session) keys() {
	created := must(s, s.CreateKey, &kms.CreateKeyInput{Description: aws.String("all"), Tags: []types.Tag{{TagKey: aws.String("team"), TagValue: aws.String("shop")}}}).KeyMetadata
	id := created.KeyId
	if created.KeyState != types.KeyStateEnabled || !created.Enabled || created.KeySpec != types.KeySpecSymmetricDefault || *created.Arn != "arn:aws:kms:eu-test-1:111122223333:key/"+*id ||
		time.Since(*created.CreationDate).Abs() > time.Hour || created.Origin != types.OriginTypeAwsKms || created.EncryptionAlgorithms[0] != types.EncryptionAlgorithmSpecSymmetricDefault {
		s.t.Errorf("CreateKey: %+v", created)
	}
	must(s, s.UpdateKeyDescription, &kms.UpdateKeyDescriptionInput{KeyId: created.Arn, Description: aws.String("说明")})
	if got := must(s, s.DescribeKey, &kms.DescribeKeyInput{KeyId: created.Arn}).KeyMetadata; *got.Description != "说明" || *got.KeyId != *id {
		s.t.Errorf("DescribeKey: %+v", got)
	}
	must(s, s.TagResource, &kms.TagResourceInput{KeyId: id, Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}}})
	must(s, s.UntagResource, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"team"}})
	if got := must(s, s.ListResourceTags, &kms.ListResourceTagsInput{KeyId: id}).Tags; len(got) != 1 || *got[0].TagKey != "a" {
		s.t.Errorf("ListResourceTags: %v", got)
	}
	for range 4 {
		must(s, s.CreateKey, &kms.CreateKeyInput{})
	}
	listed := 0
	for pages := kms.NewListKeysPaginator(s, &kms.ListKeysInput{Limit: aws.Int32(2)}); pages.HasMorePages(); {
		page, err := pages.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		listed += len(page.Keys)
	}
	if listed != 5 {
		s.t.Errorf("ListKeys: %d keys", listed)
	}
	refused[*types.InvalidMarkerException](s, s.ListKeys, &kms.ListKeysInput{Marker: aws.String("x")})
	refused[*types.NotFoundException](s, s.DescribeKey, &kms.DescribeKeyInput{KeyId: aws.String("alias/absent")})
	refused[*types.InvalidArnException](s, s.DescribeKey, &kms.DescribeKeyInput{KeyId: aws.String("arn:aws:kms:x")})
	refused[*types.NotFoundException](s, s.DescribeKey, &kms.DescribeKeyInput{KeyId: aws.String("arn:aws:kms:us-east-1:111122223333:key/" + *id)})
	must(s, s.DescribeCustomKeyStores, &kms.DescribeCustomKeyStoresInput{})
	if got := must(s, s.ListKeyPolicies, &kms.ListKeyPoliciesInput{KeyId: id}).PolicyNames; len(got) != 0 {
		s.t.Errorf("ListKeyPolicies: %v", got)
	}
}

func (s *session) aliases() {
	first, second := s.create(&kms.CreateKeyInput{}), s.create(&kms.CreateKeyInput{})
	name := aws.String("alias/team/orders:live")
	must(s, s.CreateAlias, &kms.CreateAliasInput{AliasName: name, TargetKeyId: first})
	refused[*types.AlreadyExistsException](s, s.CreateAlias, &kms.CreateAliasInput{AliasName: name, TargetKeyId: second})
	refused[*types.AlreadyExistsException](s, s.CreateAlias, &kms.CreateAliasInput{AliasName: name, TargetKeyId: first})
	more := aws.String("alias/team/orders:next")
	must(s, s.CreateAlias, &kms.CreateAliasInput{AliasName: more, TargetKeyId: first})
	if got := must(s, s.ListAliases, &kms.ListAliasesInput{KeyId: first}).Aliases; len(got) != 2 {
		s.t.Errorf("ListAliases of a key with two: %d", len(got))
	}
	must(s, s.UpdateAlias, &kms.UpdateAliasInput{AliasName: name, TargetKeyId: second})
	if got := must(s, s.DescribeKey, &kms.DescribeKeyInput{KeyId: name}).KeyMetadata; *got.KeyId != *second {
		s.t.Error("UpdateAlias did not move the alias")
	}
	found := 0
	for pages := kms.NewListAliasesPaginator(s, &kms.ListAliasesInput{Limit: aws.Int32(3)}); pages.HasMorePages(); {
		page, err := pages.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, a := range page.Aliases {
			if *a.AliasName == *name && *a.TargetKeyId == *second {
				found++
			}
		}
	}
	if of := must(s, s.ListAliases, &kms.ListAliasesInput{KeyId: second}).Aliases; found != 1 || len(of) != 1 {
		s.t.Errorf("ListAliases: %d, and %d of the key", found, len(of))
	}
	if of := must(s, s.ListAliases, &kms.ListAliasesInput{KeyId: first}).Aliases; len(of) != 1 || *of[0].AliasName != *more {
		s.t.Errorf("UpdateAlias of another alias: %d are left", len(of))
	}
	must(s, s.DeleteAlias, &kms.DeleteAliasInput{AliasName: more})
	must(s, s.DeleteAlias, &kms.DeleteAliasInput{AliasName: name})
	refused[*types.NotFoundException](s, s.DeleteAlias, &kms.DeleteAliasInput{AliasName: name})
	refused[*types.InvalidAliasNameException](s, s.CreateAlias, &kms.CreateAliasInput{AliasName: aws.String("alias/aws/s3"), TargetKeyId: first})
}

func (s *session) lifecycle() {
	id := s.create(&kms.CreateKeyInput{})
	is := func(want types.KeyState) {
		s.t.Helper()
		if got := must(s, s.DescribeKey, &kms.DescribeKeyInput{KeyId: id}).KeyMetadata; got.KeyState != want {
			s.t.Errorf("the key is %s, not %s", got.KeyState, want)
		}
	}
	must(s, s.DisableKey, &kms.DisableKeyInput{KeyId: id})
	is(types.KeyStateDisabled)
	encrypt := &kms.EncryptInput{KeyId: id, Plaintext: []byte("p")}
	refused[*types.DisabledException](s, s.Encrypt, encrypt)
	must(s, s.EnableKey, &kms.EnableKeyInput{KeyId: id})
	got := must(s, s.ScheduleKeyDeletion, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
	if got.KeyState != types.KeyStatePendingDeletion || got.DeletionDate.Before(s.clock.Now().Add(6*24*time.Hour)) {
		s.t.Errorf("ScheduleKeyDeletion: %+v", got)
	}
	is(types.KeyStatePendingDeletion)
	refused[*types.KMSInvalidStateException](s, s.Encrypt, encrypt)
	must(s, s.CancelKeyDeletion, &kms.CancelKeyDeletionInput{KeyId: id})
	is(types.KeyStateDisabled)
}

func (s *session) rotation() {
	id := s.create(&kms.CreateKeyInput{})
	must(s, s.EnableKeyRotation, &kms.EnableKeyRotationInput{KeyId: id, RotationPeriodInDays: aws.Int32(90)})
	if got := must(s, s.GetKeyRotationStatus, &kms.GetKeyRotationStatusInput{KeyId: id}); !got.KeyRotationEnabled || *got.RotationPeriodInDays != 90 || got.NextRotationDate == nil {
		s.t.Errorf("GetKeyRotationStatus: %+v", got)
	}
	must(s, s.DisableKeyRotation, &kms.DisableKeyRotationInput{KeyId: id})
	if got := must(s, s.GetKeyRotationStatus, &kms.GetKeyRotationStatusInput{KeyId: id}); got.KeyRotationEnabled {
		s.t.Errorf("GetKeyRotationStatus: %+v", got)
	}
	must(s, s.RotateKeyOnDemand, &kms.RotateKeyOnDemandInput{KeyId: id})
	if got := must(s, s.ListKeyRotations, &kms.ListKeyRotationsInput{KeyId: id}).Rotations; len(got) != 1 || got[0].RotationDate == nil {
		s.t.Errorf("ListKeyRotations: %+v", got)
	}
	signing := s.create(&kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	refused[*types.UnsupportedOperationException](s, s.EnableKeyRotation, &kms.EnableKeyRotationInput{KeyId: signing})
}

func (s *session) symmetric() {
	id, other := s.create(&kms.CreateKeyInput{}), s.create(&kms.CreateKeyInput{})
	context := map[string]string{"tenant": "7"}
	sealed := must(s, s.Encrypt, &kms.EncryptInput{KeyId: id, Plaintext: []byte("test\n"), EncryptionContext: context})
	opened := must(s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: context, KeyId: id})
	if string(opened.Plaintext) != "test\n" || *opened.KeyId != *sealed.KeyId {
		s.t.Errorf("Decrypt: %+v", opened)
	}
	refused[*types.InvalidCiphertextException](s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
	refused[*types.IncorrectKeyException](s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: context, KeyId: other})
	moved := must(s, s.ReEncrypt, &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, SourceEncryptionContext: context, DestinationKeyId: other})
	if again := must(s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: moved.CiphertextBlob}); string(again.Plaintext) != "test\n" || *again.KeyId != *moved.KeyId || *moved.SourceKeyId != *sealed.KeyId {
		s.t.Errorf("ReEncrypt: %+v", moved)
	}
	made := must(s, s.GenerateDataKey, &kms.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256})
	if again := must(s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob}); len(made.Plaintext) != 32 || string(again.Plaintext) != string(made.Plaintext) {
		s.t.Error("GenerateDataKey")
	}
	hidden := must(s, s.GenerateDataKeyWithoutPlaintext, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: id, NumberOfBytes: aws.Int32(77)})
	if again := must(s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: hidden.CiphertextBlob}); len(again.Plaintext) != 77 {
		s.t.Error("GenerateDataKeyWithoutPlaintext")
	}
	if got := must(s, s.GenerateRandom, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(64)}); len(got.Plaintext) != 64 {
		s.t.Error("GenerateRandom")
	}
}

func (s *session) pairs() {
	id := s.create(&kms.CreateKeyInput{})
	context := map[string]string{"purpose": "pair"}
	made := must(s, s.GenerateDataKeyPair, &kms.GenerateDataKeyPairInput{KeyId: id, KeyPairSpec: types.DataKeyPairSpecEccNistP256, EncryptionContext: context})
	opened := must(s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: made.PrivateKeyCiphertextBlob, EncryptionContext: context})
	private, err := x509.ParsePKCS8PrivateKey(opened.Plaintext)
	if err != nil || string(opened.Plaintext) != string(made.PrivateKeyPlaintext) {
		s.t.Fatalf("GenerateDataKeyPair: %v", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.(*ecdsa.PrivateKey).Public())
	if err != nil || string(public) != string(made.PublicKey) {
		s.t.Errorf("the private key is of another public key: %v", err)
	}
	hidden := must(s, s.GenerateDataKeyPairWithoutPlaintext, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: id, KeyPairSpec: types.DataKeyPairSpecRsa2048})
	if again := must(s, s.Decrypt, &kms.DecryptInput{CiphertextBlob: hidden.PrivateKeyCiphertextBlob}); len(again.Plaintext) < 1000 {
		s.t.Errorf("a private key of %d bytes", len(again.Plaintext))
	}
	refused[*types.UnsupportedOperationException](s, s.GenerateDataKeyPair, &kms.GenerateDataKeyPairInput{KeyId: id, KeyPairSpec: types.DataKeyPairSpecEccSecgP256k1})
}

// publicKey returns the public key of a CMK.
func (s *session) publicKey(id *string) any {
	s.t.Helper()
	public, err := x509.ParsePKIXPublicKey(must(s, s.GetPublicKey, &kms.GetPublicKeyInput{KeyId: id}).PublicKey)
	if err != nil {
		s.t.Fatal(err)
	}
	return public
}

func (s *session) asymmetric() {
	id := s.create(&kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeEncryptDecrypt})
	ct, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, s.publicKey(id).(*rsa.PublicKey), []byte("test\n"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	in := &kms.DecryptInput{KeyId: id, CiphertextBlob: ct, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256}
	if got := must(s, s.Decrypt, in); string(got.Plaintext) != "test\n" || got.EncryptionAlgorithm != types.EncryptionAlgorithmSpecRsaesOaepSha256 {
		s.t.Errorf("Decrypt: %+v", got)
	}
	made := must(s, s.Encrypt, &kms.EncryptInput{KeyId: id, Plaintext: []byte("by the vault"), EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1})
	in = &kms.DecryptInput{KeyId: id, CiphertextBlob: made.CiphertextBlob, EncryptionAlgorithm: made.EncryptionAlgorithm}
	if got := must(s, s.Decrypt, in); string(got.Plaintext) != "by the vault" {
		s.t.Errorf("Decrypt: %+v", got)
	}
	in.CiphertextBlob = make([]byte, 256)
	refused[*types.InvalidCiphertextException](s, s.Decrypt, in)
}

func (s *session) signatures() {
	message := []byte("message")
	for _, x := range []struct {
		spec      types.KeySpec
		algorithm types.SigningAlgorithmSpec
		verify    func(public any, sig []byte) bool
	}{
		{types.KeySpecRsa2048, types.SigningAlgorithmSpecRsassaPssSha512, func(public any, sig []byte) bool {
			digest := sha512.Sum512(message)
			return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA512, digest[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}},
		{types.KeySpecEccNistP384, types.SigningAlgorithmSpecEcdsaSha384, func(public any, sig []byte) bool {
			digest := sha512.Sum384(message)
			return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest[:], sig)
		}},
	} {
		id := s.create(&kms.CreateKeyInput{KeySpec: x.spec, KeyUsage: types.KeyUsageTypeSignVerify})
		made := must(s, s.Sign, &kms.SignInput{KeyId: id, Message: message, SigningAlgorithm: x.algorithm})
		if !x.verify(s.publicKey(id), made.Signature) {
			s.t.Errorf("%s: the signature is wrong", x.algorithm)
		}
		in := &kms.VerifyInput{KeyId: id, Message: message, Signature: made.Signature, SigningAlgorithm: x.algorithm}
		if got := must(s, s.Verify, in); !got.SignatureValid {
			s.t.Errorf("%s: the signature is not accepted", x.algorithm)
		}
		in.Message = []byte("another")
		refused[*types.KMSInvalidSignatureException](s, s.Verify, in)
		refused[*types.InvalidKeyUsageException](s, s.Encrypt, &kms.EncryptInput{KeyId: id, Plaintext: message})
	}
}

func (s *session) macs() {
	for _, x := range []struct {
		spec types.KeySpec
		alg  types.MacAlgorithmSpec
		size int
	}{
		{types.KeySpecHmac224, types.MacAlgorithmSpecHmacSha224, 28}, {types.KeySpecHmac256, types.MacAlgorithmSpecHmacSha256, 32},
		{types.KeySpecHmac384, types.MacAlgorithmSpecHmacSha384, 48}, {types.KeySpecHmac512, types.MacAlgorithmSpecHmacSha512, 64},
	} {
		id := s.create(&kms.CreateKeyInput{KeySpec: x.spec, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
		made := must(s, s.GenerateMac, &kms.GenerateMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: x.alg})
		in := &kms.VerifyMacInput{KeyId: id, Message: []byte("m"), Mac: made.Mac, MacAlgorithm: x.alg}
		if got := must(s, s.VerifyMac, in); !got.MacValid || len(made.Mac) != x.size {
			s.t.Errorf("VerifyMac of %d bytes by %s: %v", len(made.Mac), x.alg, got.MacValid)
		}
		in.Message = []byte("n")
		refused[*types.KMSInvalidMacException](s, s.VerifyMac, in)
	}
}

func (s *session) imported() {
	id := s.create(&kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	params := must(s, s.GetParametersForImport, &kms.GetParametersForImportInput{KeyId: id, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	public, err := x509.ParsePKIXPublicKey(params.PublicKey)
	if err != nil {
		s.t.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), []byte("32 bytes of a key of the caller."), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	validTo := s.clock.Now().Add(48 * time.Hour).Truncate(time.Second)
	must(s, s.ImportKeyMaterial, &kms.ImportKeyMaterialInput{KeyId: id, ImportToken: params.ImportToken, EncryptedKeyMaterial: wrapped, ValidTo: &validTo})
	if got := must(s, s.DescribeKey, &kms.DescribeKeyInput{KeyId: id}).KeyMetadata; got.Origin != types.OriginTypeExternal || !got.ValidTo.Equal(validTo) || got.ExpirationModel != types.ExpirationModelTypeKeyMaterialExpires {
		s.t.Errorf("after the import: %+v", got)
	}
	must(s, s.DeleteImportedKeyMaterial, &kms.DeleteImportedKeyMaterialInput{KeyId: id})
	refused[*types.KMSInvalidStateException](s, s.Encrypt, &kms.EncryptInput{KeyId: id, Plaintext: []byte("p")})
	refused[*types.InvalidImportTokenException](s, s.ImportKeyMaterial, &kms.ImportKeyMaterialInput{KeyId: id, ImportToken: params.ImportToken, EncryptedKeyMaterial: wrapped, ValidTo: &validTo})
	refused[*types.UnsupportedOperationException](s, s.DeleteImportedKeyMaterial, &kms.DeleteImportedKeyMaterialInput{KeyId: s.create(&kms.CreateKeyInput{})})
}

func (s *session) dryRuns() {
	id := s.create(&kms.CreateKeyInput{})
	refused[*types.DryRunOperationException](s, s.Encrypt, &kms.EncryptInput{KeyId: id, Plaintext: []byte("p"), DryRun: aws.Bool(true)})
	refused[*types.DryRunOperationException](s, s.GenerateDataKey, &kms.GenerateDataKeyInput{KeyId: id, NumberOfBytes: aws.Int32(32), DryRun: aws.Bool(true)})
	refused[*types.InvalidKeyUsageException](s, s.Sign, &kms.SignInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256, DryRun: aws.Bool(true)})
}

func (s *session) lastUsage() {
	id := s.create(&kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	if got := must(s, s.GetKeyLastUsage, &kms.GetKeyLastUsageInput{KeyId: id}); got.KeyLastUsage == nil || got.KeyLastUsage.Timestamp != nil ||
		*got.KeyId != *id || got.KeyCreationDate == nil || !got.TrackingStartDate.Equal(*got.KeyCreationDate) {
		s.t.Errorf("GetKeyLastUsage of a new key: %+v", got)
	}
	s.clock.Advance(time.Second)
	must(s, s.GenerateMac, &kms.GenerateMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
	got := must(s, s.GetKeyLastUsage, &kms.GetKeyLastUsageInput{KeyId: id}).KeyLastUsage
	if got.Operation != types.KeyLastUsageTrackingOperationGenerateMac || got.Timestamp == nil || s.clock.Now().Sub(*got.Timestamp).Abs() > time.Millisecond {
		s.t.Errorf("GetKeyLastUsage after GenerateMac: %+v", got)
	}
	refused[*types.NotFoundException](s, s.GetKeyLastUsage, &kms.GetKeyLastUsageInput{KeyId: aws.String("alias/absent")})
}

// refusedOperations calls what the handler refuses.
func (s *session) refusedOperations() {
	id, text := s.create(&kms.CreateKeyInput{}), aws.String("t")
	type refusal = *types.UnsupportedOperationException
	refused[refusal](s, s.ConnectCustomKeyStore, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: text})
	refused[refusal](s, s.CreateCustomKeyStore, &kms.CreateCustomKeyStoreInput{CustomKeyStoreName: text})
	refused[refusal](s, s.DeleteCustomKeyStore, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: text})
	refused[refusal](s, s.DisconnectCustomKeyStore, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: text})
	refused[refusal](s, s.UpdateCustomKeyStore, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: text})
	refused[refusal](s, s.CreateGrant, &kms.CreateGrantInput{KeyId: id, GranteePrincipal: text, Operations: []types.GrantOperation{types.GrantOperationDecrypt}})
	refused[refusal](s, s.ListGrants, &kms.ListGrantsInput{KeyId: id})
	refused[refusal](s, s.ListRetirableGrants, &kms.ListRetirableGrantsInput{RetiringPrincipal: text})
	refused[refusal](s, s.RetireGrant, &kms.RetireGrantInput{GrantToken: text})
	refused[refusal](s, s.RevokeGrant, &kms.RevokeGrantInput{KeyId: id, GrantId: text})
	refused[refusal](s, s.DeriveSharedSecret, &kms.DeriveSharedSecretInput{KeyId: id, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh, PublicKey: []byte("k")})
	refused[refusal](s, s.Encapsulate, &kms.EncapsulateInput{KeyId: id, EncapsulationAlgorithm: "ML_KEM"})
	refused[refusal](s, s.Decapsulate, &kms.DecapsulateInput{KeyId: id, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: []byte("c")})
	refused[*types.NotFoundException](s, s.GetKeyPolicy, &kms.GetKeyPolicyInput{KeyId: id})
	refused[refusal](s, s.PutKeyPolicy, &kms.PutKeyPolicyInput{KeyId: id, Policy: text})
	refused[refusal](s, s.ReplicateKey, &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: text})
	refused[refusal](s, s.UpdatePrimaryRegion, &kms.UpdatePrimaryRegionInput{KeyId: id, PrimaryRegion: text})
}
