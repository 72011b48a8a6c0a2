//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

// goldenBinding, goldenRoot and a key of 32 bytes 7 belong to testdata/protector_1.hex, a
// blob of format 1.
var goldenBinding = driver.Binding{VaultID: [16]byte([]byte("vault of d330c59")), Edition: driver.FIPS}

const goldenRoot = "the root of a vault, of 32 bytes"

func goldenBlob(t *testing.T) driver.Blob {
	t.Helper()
	text, err := os.ReadFile("testdata/protector_1.hex")
	if err != nil {
		t.Fatal(err)
	}
	blob, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// publicID returns the key id of a blob of format 1, which anyone can compute.
func publicID(b driver.Binding) driver.MaterialID {
	id := driver.MaterialID([]byte("strongroom------"))
	h := sha256.Sum256(append(append([]byte("strongroom pkcs11 protector"), b.VaultID[:]...), 1))
	copy(id[len("strongroom"):], h[:])
	return id
}

// TestProtectorFormatOne: blobs of earlier versions open, even if the token has a second
// key under the id, made while it did not show the first.
func TestProtectorFormatOne(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	p, blob, id := pkcs11.NewProtector(d), goldenBlob(t), publicID(goldenBinding)
	if _, err := p.Recover(t.Context(), nil, goldenBinding, blob); !is(err, driver.Denied) || !errors.Is(err, driver.ErrWrongDevice) {
		t.Errorf("Recover without the key: %v, want Denied and ErrWrongDevice", err)
	}
	if _, err := d.(driver.Importer).ImportKey(t.Context(), id, derive, bytes.Repeat([]byte{7}, 32)); err != nil {
		t.Fatal(err)
	}
	for keys := 1; keys <= 3; keys++ {
		out, err := p.Recover(t.Context(), nil, goldenBinding, blob)
		if err != nil || string(out) != goldenRoot {
			t.Errorf("Recover with %d keys under the id: %q, %v", keys, out, err)
		}
		second(t, token, id)
	}
	for i := range blob {
		blob[i] ^= 1
		if _, err := p.Recover(t.Context(), nil, goldenBinding, blob); !is(err, driver.Denied) {
			t.Errorf("Recover with byte %d changed: %v, want Denied", i, err)
		}
		blob[i] ^= 1
	}
}

// second makes another HMAC key under an id, as another program can.
func second(t *testing.T, token testtoken.PKCS11, id driver.MaterialID) {
	t.Helper()
	a := newAttackSession(t, token)
	_, err := a.GenerateKey(a.session, mech(p11.CKM_GENERIC_SECRET_KEY_GEN, nil), []*p11.Attribute{
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false),
		attribute(p11.CKA_ID, id[:]), attribute(p11.CKA_VALUE_LEN, 32), attribute(p11.CKA_SIGN, true), attribute(p11.CKA_VERIFY, false),
		attribute(p11.CKA_ENCRYPT, false), attribute(p11.CKA_DECRYPT, false), attribute(p11.CKA_WRAP, false), attribute(p11.CKA_UNWRAP, false), attribute(p11.CKA_DERIVE, false),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestProtectorTakesNoPlantedKey plants a key of known value under the id that can be
// computed from the vault id. No root is protected under it.
func TestProtectorTakesNoPlantedKey(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		needs(t, d, derive)
		b, root := driver.Binding{VaultID: [16]byte{9}}, bytes.Repeat([]byte{1}, 32)
		planted := publicID(b)
		if _, err := d.(driver.Importer).ImportKey(t.Context(), planted, derive, bytes.Repeat([]byte{7}, 32)); err != nil {
			t.Fatal(err)
		}
		p := pkcs11.NewProtector(d)
		blob, err := p.Protect(t.Context(), b, root)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(blob, planted[:]) {
			t.Error("the blob contains the id of the planted key")
		}
		if err := d.DestroyKey(t.Context(), planted, nil); err != nil {
			t.Fatal(err)
		}
		if out, err := p.Recover(t.Context(), nil, b, blob); err != nil || !bytes.Equal(out, root) {
			t.Errorf("Recover after the planted key was destroyed: %v", err)
		}
	})
}

// TestProtectorKeyReplaced replaces the protector's key by one of known value. The error
// says so, and differs from that of a damaged blob.
func TestProtectorKeyReplaced(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	b, root := driver.Binding{VaultID: [16]byte{9}}, bytes.Repeat([]byte{1}, 32)
	p := pkcs11.NewProtector(d)
	blob, err := p.Protect(t.Context(), b, root)
	if err != nil {
		t.Fatal(err)
	}
	newAttackSession(t, token).replace(driver.MaterialID(blob[5:21]))
	if _, err := p.Recover(t.Context(), nil, b, blob); !is(err, driver.Denied) || !strings.Contains(err.Error(), "another key under the id") {
		t.Errorf("Recover by a key that was replaced: %v, want Denied with the cause that the key was replaced", err)
	}
}

// TestProtectorsHaveKeysOfTheirOwn: each Protect has its own key. The key of a Protect
// that fails is destroyed, and ListKeys returns none of them.
func TestProtectorsHaveKeysOfTheirOwn(t *testing.T) {
	memory := drivertest.NewMemory()
	broken := drivertest.NewFaulty(memory)
	b, root := driver.Binding{}, make([]byte, 32)
	seen := map[string]bool{}
	for range 3 {
		blob, err := pkcs11.NewProtector(memory).Protect(t.Context(), b, root)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(blob[5:21])] = true
	}
	broken.Add(drivertest.Fault{Method: drivertest.MethodPRF, Fail: true, Class: driver.Unavailable})
	if _, err := pkcs11.NewProtector(broken).Protect(t.Context(), b, root); !is(err, driver.Unavailable) {
		t.Errorf("Protect by a token that fails: %v, want Unavailable", err)
	}
	if n := len(listedKeys(t, memory)); n != 3 || len(seen) != 3 {
		t.Errorf("three protectors and a failed one left %d keys, under %d ids; want 3 and 3", n, len(seen))
	}
	d := opened(t, testtoken.NewSoftHSM(t))
	if _, err := pkcs11.NewProtector(d).Protect(t.Context(), b, root); err != nil {
		t.Fatal(err)
	}
	if n := len(listedKeys(t, d)); n != 0 {
		t.Errorf("ListKeys yields %d keys after Protect, want 0: it must omit protectors' keys", n)
	}
}

// TestProtectorMechanismGone: if the token no longer supports the algorithm of the
// protector's key, the error says so.
func TestProtectorMechanismGone(t *testing.T) {
	memory := drivertest.NewMemory()
	b := driver.Binding{}
	blob, err := pkcs11.NewProtector(memory).Protect(t.Context(), b, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	_, err = pkcs11.NewProtector(unlisted{without{memory, driver.HMACSHA256}}).Recover(t.Context(), nil, b, blob)
	if !is(err, driver.Denied) || !is(err, driver.Unsupported) || errors.Is(err, driver.ErrWrongDevice) || !strings.Contains(err.Error(), "HMAC_SHA_256") {
		t.Errorf("Recover by a token without HMAC: %v, want Denied, caused by Unsupported, naming the algorithm", err)
	}
}

// unlisted does not open keys of a spec that it does not offer.
type unlisted struct{ without }

func (u unlisted) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	if _, ok := u.Info().Find(spec); !ok {
		return nil, &driver.Error{Op: "OpenKey", Class: driver.Unsupported}
	}
	return u.without.OpenKey(ctx, id, spec, blob)
}

// hide hides all objects of a token, but not the token itself, as when its files belong
// to another user or a cluster node lags behind. show makes them visible again.
func hide(t *testing.T, token testtoken.PKCS11) (show func()) {
	t.Helper()
	aside := t.TempDir()
	files, err := filepath.Glob(filepath.Join(token.Dir, "*.object"))
	if err != nil {
		t.Fatal(err)
	}
	var moved []string
	for _, file := range files {
		if filepath.Base(file) == "token.object" {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(filepath.Join(aside, filepath.Base(file)), content, 0o600), os.Remove(file)); err != nil {
			t.Fatal(err)
		}
		moved = append(moved, filepath.Base(file))
	}
	if len(moved) == 0 {
		t.Fatal("the token has no objects to hide")
	}
	return func() {
		for _, name := range moved {
			content, err := os.ReadFile(filepath.Join(aside, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(token.Dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHiddenObjects: during one start the token shows none of its objects, and the
// vault is opened with its passphrase, which protects the root with the token again. When
// the objects are visible again there are two sentinels and two protectors' keys. The
// vault opens with the token, its keys work, and the token can be added again and protect
// a new root.
func TestHiddenObjects(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "vault")
	word := soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("word"))
	var key vault.Key
	var ct []byte
	// start runs one start of a program. by is the protector that must open the vault.
	start := func(what string, use func(c vault.Client, guard driver.Protector), protectors ...func(driver.Driver) driver.Protector) {
		t.Helper()
		d := open(t, token)
		defer func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}()
		var all []driver.Protector
		for _, p := range protectors {
			all = append(all, p(d))
		}
		cfg := vault.Config{Drivers: map[string]driver.Driver{"token": d}, Driver: "token", AcceptLossWithMachine: true}
		v, err := vault.Open(ctx, dir, cfg, all...)
		if errors.Is(err, vault.ErrNoVault) {
			v, err = vault.Create(ctx, dir, cfg, all...)
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		use(v.As(vault.DefaultOwner), pkcs11.NewProtector(d))
		if err := v.Close(); err != nil {
			t.Errorf("%s: Close: %v", what, err)
		}
	}
	byToken := func(d driver.Driver) driver.Protector { return pkcs11.NewProtector(d) }
	byWord := func(driver.Driver) driver.Protector { return word }
	works := func(c vault.Client, _ driver.Protector) {
		t.Helper()
		if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "4711" {
			t.Errorf("Decrypt: %q, %v", got, err)
		}
	}
	start("the first start", func(c vault.Client, _ driver.Protector) {
		var err error
		if key, err = c.CreateKey(ctx, vault.KeyOptions{}); err == nil {
			ct, err = c.Encrypt(ctx, key.ID, []byte("4711"), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}, byToken, byWord)
	show := hide(t, token)
	start("with all objects out of sight", func(c vault.Client, _ driver.Protector) {
		if _, err := c.Decrypt(ctx, ct, nil); !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("Decrypt by a key that is out of sight: %v, want ErrUnavailable", err)
		}
	}, byToken, byWord)
	show()
	start("with all objects back", works, byToken)
	start("to add the token", func(c vault.Client, guard driver.Protector) {
		works(c, guard)
		if _, err := c.AddProtector(ctx, guard, guard); err != nil {
			t.Errorf("AddProtector: %v", err)
		}
	}, byToken)
	start("to rotate the root", func(c vault.Client, guard driver.Protector) {
		if err := c.RotateRoot(ctx, guard, word); err != nil {
			t.Errorf("RotateRoot: %v", err)
		}
	}, byToken)
	start("at last", works, byToken)
}
