//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

// replace destroys a key and makes another with its CKA_ID and CKA_LABEL: a symmetric key
// of a known value, or another pair on the curve P-256.
func (a *attackSession) replace(id driver.MaterialID) {
	a.t.Helper()
	old := a.objects(id)[0]
	got, err := a.GetAttributeValue(a.session, old, []*p11.Attribute{attribute(p11.CKA_CLASS, nil), attribute(p11.CKA_LABEL, nil)})
	if err != nil {
		a.t.Fatal(err)
	}
	label := got[1].Value
	for _, o := range a.everything(id) {
		if err := a.DestroyObject(a.session, o); err != nil {
			a.t.Fatal(err)
		}
	}
	private := []*p11.Attribute{
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false),
		attribute(p11.CKA_ID, id[:]), attribute(p11.CKA_LABEL, label), attribute(p11.CKA_SIGN, true),
	}
	for _, role := range []uint{p11.CKA_DECRYPT, p11.CKA_UNWRAP, p11.CKA_DERIVE} {
		private = append(private, attribute(role, false))
	}
	if bytes.Equal(got[0].Value, attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY).Value) {
		for _, role := range []uint{p11.CKA_ENCRYPT, p11.CKA_VERIFY, p11.CKA_WRAP} {
			private = append(private, attribute(role, false))
		}
		known := append(private, attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET), attribute(p11.CKA_VALUE, make([]byte, 32)))
		if _, err := a.CreateObject(a.session, known); err != nil {
			a.t.Fatal(err)
		}
		return
	}
	public := []*p11.Attribute{
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_VERIFY, true), attribute(p11.CKA_ID, id[:]), attribute(p11.CKA_LABEL, label),
		attribute(p11.CKA_EC_PARAMS, []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}),
	}
	if _, _, err := a.GenerateKeyPair(a.session, mech(p11.CKM_EC_KEY_PAIR_GEN, nil), public, private); err != nil {
		a.t.Fatal(err)
	}
}

// everything returns all objects with an id.
func (a *attackSession) everything(id driver.MaterialID) []p11.ObjectHandle {
	a.t.Helper()
	if err := a.FindObjectsInit(a.session, []*p11.Attribute{attribute(p11.CKA_ID, id[:])}); err != nil {
		a.t.Fatal(err)
	}
	defer a.FindObjectsFinal(a.session)
	found, _, err := a.FindObjects(a.session, 10)
	if err != nil {
		a.t.Fatal(err)
	}
	return found
}

// listedKeys returns the ids that a driver lists.
func listedKeys(t *testing.T, d driver.Driver) map[driver.MaterialID]bool {
	t.Helper()
	all := map[driver.MaterialID]bool{}
	for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all[id] = true
	}
	return all
}

// TestVaultRefusesReplacedKey destroys a CMK in the token and makes another key with its
// id and label, once before the vault opens the key and once while it is open. The vault
// refuses the key permanently, records that, and returns no result of it.
func TestVaultRefusesReplacedKey(t *testing.T) {
	uses := map[string]struct {
		options vault.KeyOptions
		use     func(c vault.Client, key string) ([]byte, error)
	}{
		"symmetric": {vault.KeyOptions{}, func(c vault.Client, key string) ([]byte, error) {
			return c.Encrypt(t.Context(), key, []byte("4711"), nil)
		}},
		"HMAC": {vault.KeyOptions{Usage: vault.GenerateVerifyMac}, func(c vault.Client, key string) ([]byte, error) {
			return c.GenerateMac(t.Context(), key, []byte("4711"))
		}},
		"pair": {vault.KeyOptions{Spec: vault.ECCP256}, func(c vault.Client, key string) ([]byte, error) {
			return c.Sign(t.Context(), key, []byte("4711"), vault.SignOptions{})
		}},
	}
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		for name, u := range uses {
			for when, opened := range map[string]bool{"before it is opened": false, "while it is open": true} {
				t.Run(name+" "+when, func(t *testing.T) {
					d := openedWith(t, config(token))
					needs(t, d, derive, driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign})
					cfg := vault.Config{Drivers: map[string]driver.Driver{"token": d}, Driver: "token"}
					word := soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("word"))
					v, err := vault.Create(t.Context(), filepath.Join(t.TempDir(), "vault"), cfg, word)
					if err != nil {
						t.Fatal(err)
					}
					defer v.Close()
					c, before := v.As(vault.DefaultOwner), listedKeys(t, d)
					k, err := c.CreateKey(t.Context(), u.options)
					if err != nil {
						t.Fatal(err)
					}
					if opened {
						if _, err := u.use(c, k.ID); err != nil {
							t.Fatal(err)
						}
					}
					a := newAttackSession(t, token)
					for id := range listedKeys(t, d) {
						if !before[id] {
							a.replace(id)
						}
					}
					for range 3 {
						out, err := u.use(c, k.ID)
						if !errors.Is(err, vault.ErrKeyReplaced) || len(out) != 0 {
							t.Errorf("the use of a key that was replaced %s: %d bytes, %v, want ErrKeyReplaced", when, len(out), err)
						}
					}
				})
			}
		}
	})
}
