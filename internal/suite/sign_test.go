package suite

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"github.com/emmansun/gmsm/sm2"
)

// usable returns the suites that this process can use.
func usable() []ID {
	return slices.DeleteFunc([]ID{AES, SM}, func(id ID) bool { return !id.Usable() })
}

func needSM(t *testing.T) {
	t.Helper()
	if !SM.Usable() {
		t.Skip("this process enforces FIPS 140, which refuses the SM algorithms")
	}
}

func TestSignVerify(t *testing.T) {
	message := []byte("a message")
	for _, id := range usable() {
		seed := bytes.Repeat([]byte{7}, SeedSize)
		public, err := id.PublicKey(seed)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := id.Sign(seed, message)
		if err != nil || !id.Verify(public, message, sig) {
			t.Fatalf("%v: %v", id, err)
		}
		for i := range sig {
			sig[i] ^= 1
			if id.Verify(public, message, sig) {
				t.Errorf("%v: Verify accepted a signature with byte %d changed", id, i)
			}
			sig[i] ^= 1
		}
		if id.Verify(public, []byte("another"), sig) || id.Verify(public[1:], message, sig) || id.Verify(nil, message, sig) {
			t.Errorf("%v: Verify accepted another message or key", id)
		}
		if _, err := id.Sign(seed[1:], message); err == nil {
			t.Errorf("%v: Sign accepted a short seed", id)
		}
		if _, err := id.PublicKey(nil); err == nil {
			t.Errorf("%v: PublicKey accepted an empty seed", id)
		}
	}
	if err := SM.CheckPublicKey(bytes.Repeat([]byte{4}, 65)); err == nil {
		t.Error("CheckPublicKey accepted a point that is not on the curve")
	}
}

// TestSM2KeyIsFrozen fixes the derivation. Another scalar for an existing seed would lose
// the log key of every vault.
func TestSM2KeyIsFrozen(t *testing.T) {
	needSM(t)
	key, err := sm2Key(bytes.Repeat([]byte{7}, SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	const want = "306a5642c0ca9b6dae4e360a3717dee9dfc74128d180cd656431dc02d6e3c37e"
	if got := hex.EncodeToString(key.D.FillBytes(make([]byte, 32))); got != want {
		t.Errorf("scalar %s", got)
	}
	wipeSM2(key)
	if len(key.D.Bits()) == 0 || new(big.Int).SetBits(key.D.Bits()).Sign() != 0 {
		t.Error("the scalar is not wiped")
	}
}

// TestSM2ScalarsOutOfRange passes candidates out of the range, which no known seed gives.
func TestSM2ScalarsOutOfRange(t *testing.T) {
	needSM(t)
	n := sm2.P256().Params().N
	offers := []*big.Int{new(big.Int), n, new(big.Int).Sub(n, big.NewInt(1)),
		new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)), new(big.Int).Sub(n, big.NewInt(2))}
	key, err := firstSM2Key(func(i uint32, scalar []byte) { offers[i].FillBytes(scalar) })
	if err != nil || key.D.Cmp(offers[4]) != 0 {
		t.Errorf("firstSM2Key did not return n-2: %v", err)
	}
	if _, err := firstSM2Key(func(_ uint32, scalar []byte) { clear(scalar) }); err == nil {
		t.Error("firstSM2Key returned a candidate out of the range")
	}
}
