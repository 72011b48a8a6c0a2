//go:build cgo && unix

package pkcs11_test

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

var sealSpec = driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal}

// The numbers in the documentation of Seal.
const (
	sealingsOfAKey = 1<<32 - 1<<26
	stepOfAStart   = 1 << 16
)

// sealOnce opens a key, seals with it and closes it.
func sealOnce(t *testing.T, d driver.Driver, id driver.MaterialID) error {
	t.Helper()
	k, err := d.OpenKey(t.Context(), id, sealSpec, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	_, err = k.(driver.AEAD).Seal(t.Context(), nil, []byte("text"), nil)
	return err
}

// label returns the label of a key's reservations.
func label(id driver.MaterialID) string { return "sr-used/" + hex.EncodeToString(id[:]) }

// onRecord returns the number of a key's reservations in the token, and their total.
func (a *attacker) onRecord(id driver.MaterialID) (records int, sealings int64) {
	a.t.Helper()
	if err := a.FindObjectsInit(a.session, []*p11.Attribute{attribute(p11.CKA_LABEL, label(id))}); err != nil {
		a.t.Fatal(err)
	}
	found, _, err := a.FindObjects(a.session, 1000)
	if err != nil {
		a.t.Fatal(err)
	}
	a.FindObjectsFinal(a.session)
	for _, o := range found {
		told, err := a.GetAttributeValue(a.session, o, []*p11.Attribute{attribute(p11.CKA_ID, nil)})
		if err != nil {
			a.t.Fatal(err)
		}
		sealings += int64(binary.BigEndian.Uint32(told[0].Value))
	}
	return len(found), sealings
}

// record makes a reservation in the token.
func (a *attacker) record(id driver.MaterialID, sealings uint32) {
	a.t.Helper()
	own := freshID()
	binary.BigEndian.PutUint32(own[:], sealings)
	a.recordAs(id, own[:])
}

// recordAs makes a reservation with an id of any length.
func (a *attacker) recordAs(id driver.MaterialID, own []byte) {
	a.t.Helper()
	_, err := a.GenerateKey(a.session, mech(p11.CKM_AES_KEY_GEN, nil), []*p11.Attribute{
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_VALUE_LEN, 32),
		attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false),
		attribute(p11.CKA_LABEL, label(id)), attribute(p11.CKA_ID, own),
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

// TestSealingsCountOverRestarts: each start reserves a step. The token keeps the steps as
// a few objects, which ListKeys does not return, and which are destroyed with the key.
func TestSealingsCountOverRestarts(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		id, starts := freshID(), int64(40)
		watch := opened(t, token) // keeps the login
		needs(t, watch, sealSpec)
		known := listed(t, watch)
		if _, err := watch.GenerateKey(t.Context(), id, sealSpec); err != nil {
			t.Fatal(err)
		}
		a := newAttacker(t, token)
		for n := range starts {
			d := open(t, token)
			for range 3 {
				if err := sealOnce(t, d, id); err != nil {
					t.Fatal(err)
				}
			}
			d.Close()
			records, sealings := a.onRecord(id)
			if sealings != (n+1)*stepOfAStart || records > 17 {
				t.Fatalf("after %d starts: %d sealings in %d reservations, want a step for each in at most 17", n+1, sealings, records)
			}
		}
		if n := len(listed(t, watch)) - len(known); n != 1 {
			t.Errorf("ListKeys returns %d new keys, want 1", n)
		}
		if err := watch.DestroyKey(t.Context(), id, nil); err != nil {
			t.Fatal(err)
		}
		if records, _ := a.onRecord(id); records != 0 {
			t.Errorf("%d reservations after DestroyKey, want 0", records)
		}
	})
}

func listed(t *testing.T, d driver.Driver) (ids []driver.MaterialID) {
	t.Helper()
	for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestSealingsEnd: a key that has reached its limit is refused in each process, and its
// last reservation is removed again. The key still opens.
func TestSealingsEnd(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d, id := opened(t, token), freshID()
		needs(t, d, sealSpec)
		if _, err := d.GenerateKey(t.Context(), id, sealSpec); err != nil {
			t.Fatal(err)
		}
		k, err := d.OpenKey(t.Context(), id, sealSpec, nil)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := k.(driver.AEAD).Seal(t.Context(), nil, []byte("text"), nil)
		if err != nil {
			t.Fatal(err)
		}
		a := newAttacker(t, token)
		a.record(id, sealingsOfAKey-2*stepOfAStart)
		last, none := opened(t, token), opened(t, token)
		if err := sealOnce(t, last, id); err != nil {
			t.Errorf("Seal in the last step: %v", err)
		}
		for range 3 {
			if err := sealOnce(t, none, id); !is(err, driver.Invalid) {
				t.Errorf("Seal after the last step: %v, want Invalid", err)
			}
		}
		if _, sealings := a.onRecord(id); sealings != sealingsOfAKey {
			t.Errorf("%d sealings recorded, want the limit", sealings)
		}
		if plain, err := k.(driver.AEAD).Open(t.Context(), nil, sealed, nil); err != nil || string(plain) != "text" {
			t.Errorf("Open with a key that has reached its limit: %q, %v", plain, err)
		}
	})
}
