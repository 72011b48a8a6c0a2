package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom.example/vault/internal/devicekey"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/keyid"
)

// TestSameMaterialTwice: two CMKs may have the same material, and neither decrypts the
// ciphertexts of the other.
func TestSameMaterialTwice(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	one, two := newExternal(t, c), newExternal(t, c)
	for _, k := range []Key{one, two} {
		mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(7)).material())
	}
	ct, err := c.Encrypt(ctx, one.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := keyid.Parse(two.ID)
	crossed := bytes.Clone(ct)
	copy(crossed[6:], id[:]) // the ciphertext now names the other CMK
	if got, err := c.Decrypt(ctx, crossed, nil); !errors.Is(err, ErrCiphertext) {
		t.Errorf("the other CMK decrypts the ciphertext: %q, error %v", got, err)
	}
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt with the right CMK: %q, error %v", got, err)
	}
}

// TestMaterialHasOneUse: material that the vault has for one usage and spec is rejected for
// another, even after it was deleted, because GenerateMac would be an oracle for the PRF of
// a CMK that encrypts.
func TestMaterialHasOneUse(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, Config{Edition: testEdition()})
	c := v.As(DefaultOwner)
	plain := make([]byte, 32)
	rand.Read(plain)
	short := append(bytes.Clone(plain[:16]), make([]byte, 16)...) // as an HMAC key equal to its first half
	first := KeyOptions{Origin: OriginExternal}
	material := plain
	if testEdition() == SM {
		material = plain[:16]
		plain = short
	}
	k := mustKey(t, c, first)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, material).material())
	for range 2 {
		for _, o := range []KeyOptions{
			{Origin: OriginExternal, Spec: HMAC256}, {Origin: OriginExternal, Spec: HMACSM3},
		} {
			if editionrules.Excluded(testEdition(), o.Spec) != nil {
				continue
			}
			mac := mustKey(t, c, o)
			p := newImportFixture(t, c, mac, plain)
			refusedImport(t, c, mac.ID, p.material(), "another usage or spec")
			if _, err := c.GenerateMac(t.Context(), mac.ID, []byte("m")); !errors.Is(err, ErrKeyState) {
				t.Errorf("the oracle answers: %v", err)
			}
			mustImport(t, c, mac.ID, newImportFixture(t, c, mac, randomBytes(32)).material()) // the rejection did not bind the CMK
		}
		if err := c.DeleteImportedKeyMaterial(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
		mustImport(t, c, k.ID, newImportFixture(t, c, k, material).material())
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// TestPrivateKeyHasOneUse: a private key that signs is rejected for decryption.
func TestPrivateKeyHasOneUse(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	signer := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: RSA2048, Usage: SignVerify})
	decrypter := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: RSA2048, Usage: AsymmetricDecrypt})
	row, err := chooseSpec(RSA2048, SignVerify, testEdition())
	if err != nil {
		t.Fatal(err)
	}
	plain := newMaterial(t, c, row)
	mustImport(t, c, signer.ID, newImportFixture(t, c, signer, plain).material())
	refusedImport(t, c, decrypter.ID, newImportFixture(t, c, decrypter, plain).material(), "another usage or spec")
	other := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: RSA2048, Usage: SignVerify})
	mustImport(t, c, other.ID, newImportFixture(t, c, other, plain).material())
	// A key of another spec is rejected because of its type.
	curve := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: ECCP256})
	refusedImport(t, c, curve.ID, newImportFixture(t, c, curve, plain).material(), "the private key is RSA")
}

// TestStoredRecordsHaveNoMaterial: the values that remain after deletion are keyed, so that
// guesses of the material cannot be tested without the vault.
func TestStoredRecordsHaveNoMaterial(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(3)).material())
	state, err := v.importOf(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range devicekey.HostFingerprints(ownKey(3), testEdition()) {
		if bytes.Contains(encode(state), m.Value[:]) || bytes.Equal(state.Commitment, m.Value[:]) {
			t.Error("the stored import state contains the mark itself")
		}
	}
	other, _ := newTestVault(t, testConfig())
	m := devicekey.HostFingerprints(ownKey(3), testEdition())[0]
	if bytes.Equal(v.commitment().ToKey(m, k.ID), other.commitment().ToKey(m, k.ID)) || v.commitment().UsePath(m) == other.commitment().UsePath(m) {
		t.Error("two vaults store the same value for the same material")
	}
}
