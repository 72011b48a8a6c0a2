package suite_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"testing"

	"strongroom.example/internal/suite"
	"strongroom.example/internal/testing/redacttest"
)

// both are the suites that this process can use.
var both = slices.DeleteFunc([]suite.ID{suite.AES, suite.SM}, func(id suite.ID) bool { return !id.Usable() })

func TestUsable(t *testing.T) {
	if !suite.AES.Usable() || suite.SM.Usable() == fips140.Enforced() || suite.ID(0).Usable() || suite.ID(3).Usable() {
		t.Error("AES is always usable, SM where FIPS 140 is not enforced, and nothing else")
	}
}

func TestHashKnownAnswers(t *testing.T) {
	// "abc": FIPS 180-4 example, GB/T 32905 example 1.
	for id, want := range map[suite.ID]string{
		suite.AES: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		suite.SM:  "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
	} {
		if got := id.Hash([]byte("a"), []byte("bc")); hex.EncodeToString(got[:]) != want {
			t.Errorf("%v: %x", id, got)
		}
	}
}

// TestKDF compares KDF with SP 800-108 written out by hand.
func TestKDF(t *testing.T) {
	key, context := bytes.Repeat([]byte{7}, 32), []byte("context\x00with zero")
	for _, id := range both {
		for _, n := range []int{1, 16, 31, 32, 33, 48, 64, 100} {
			var want []byte
			for i := uint32(1); len(want) < n; i++ {
				in := binary.BigEndian.AppendUint32(nil, i)
				in = append(in, "label\x00"+string(context)...)
				in = binary.BigEndian.AppendUint32(in, uint32(n)*8)
				m := hmac.New(id.NewHash, key)
				m.Write(in)
				want = m.Sum(want)
			}
			got := make([]byte, n)
			id.KDF(got, key, "label", context)
			if !bytes.Equal(got, want[:n]) {
				t.Errorf("%v, %d bytes: got %x", id, n, got)
			}
		}
	}
}

func TestSealOpen(t *testing.T) {
	for _, id := range both {
		key := bytes.Repeat([]byte{9}, id.KeySize())
		sealed, err := id.Seal([]byte("dst"), key, []byte("secret"), []byte("aad"))
		if err != nil || len(sealed) != 3+6+suite.Overhead || string(sealed[:3]) != "dst" {
			t.Fatalf("%v: Seal and Open: %d bytes, %v", id, len(sealed), err)
		}
		sealed = sealed[3:]
		if got, err := id.Open([]byte("x"), key, sealed, []byte("aad")); err != nil || string(got) != "xsecret" {
			t.Errorf("%v: %q, %v", id, got, err)
		}
		for n := range sealed {
			if _, err := id.Open(nil, key, sealed[:n], []byte("aad")); !errors.Is(err, suite.ErrOpen) {
				t.Errorf("%v: Open of a text truncated to %d bytes: %v", id, n, err)
			}
			sealed[n] ^= 1
			if _, err := id.Open(nil, key, sealed, []byte("aad")); !errors.Is(err, suite.ErrOpen) {
				t.Errorf("%v: Open with byte %d changed: %v", id, n, err)
			}
			sealed[n] ^= 1
		}
		if _, err := id.Open(nil, key, sealed, []byte("other")); !errors.Is(err, suite.ErrOpen) {
			t.Errorf("%v: Open with another aad: %v", id, err)
		}
		again, _ := id.Seal(nil, key, []byte("secret"), []byte("aad"))
		if bytes.Equal(again[:12], sealed[:12]) {
			t.Errorf("%v: Seal used a nonce twice", id)
		}
	}
}

func TestWrongKeyLength(t *testing.T) {
	for _, id := range append(both, 0, 3) {
		for n := range 65 {
			if id.Valid() && n == id.KeySize() {
				continue
			}
			if _, err := id.NewAEAD(make([]byte, n)); err == nil {
				t.Errorf("NewAEAD of %v accepted a key of %d bytes", id, n)
			}
			if _, err := id.Open(nil, make([]byte, n), make([]byte, 64), nil); !errors.Is(err, suite.ErrOpen) {
				t.Errorf("%v: Open under %d bytes: %v", id, n, err)
			}
		}
	}
}

func TestAEADConcurrent(t *testing.T) {
	for _, id := range both {
		a, err := id.NewAEAD(make([]byte, id.KeySize()))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				text := bytes.Repeat([]byte{byte(g)}, 100*g)
				sealed, err := a.Seal(nil, text, nil)
				if err != nil {
					t.Error(err)
				}
				if got, err := a.Open(nil, sealed, nil); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%v: %v", id, err)
				}
			})
		}
		wg.Wait()
		a.Wipe()
		a.Wipe()
	}
}

func TestAEADIsRedacted(t *testing.T) {
	key := bytes.Repeat([]byte{0xA5}, 32)
	a, err := suite.AES.NewAEAD(key)
	if err != nil {
		t.Fatal(err)
	}
	redacttest.Silent(t, a, key)
}
