package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/ranktest"
	"strongroom.example/keystore/storetest"
)

// paddings are modifications of a PKCS #1 v1.5 block. The first leaves the padding valid;
// each other makes it invalid in a different way.
var paddings = []func(block []byte){
	func([]byte) {},
	func(b []byte) { b[0] = 1 },                      // first byte
	func(b []byte) { b[1] = 1 },                      // block type of signatures
	func(b []byte) { b[1] = 0 },                      // no block type
	func(b []byte) { b[2] = 0 },                      // no padding
	func(b []byte) { b[9] = 0 },                      // seven bytes of padding
	func(b []byte) { b[len(b)-17] = 1 },              // no zero before the message
	func(b []byte) { b[0], b[1] = 1, 1 },             // both leading bytes
	func(b []byte) { clear(b[1:]); b[len(b)-1] = 7 }, // almost empty
}

// padded makes the ciphertext of a 16-byte message with padding of the given class.
func padded(t *testing.T, public *rsa.PublicKey, class int) []byte {
	t.Helper()
	block := make([]byte, public.Size())
	rand.Read(block)
	for i, b := range block {
		block[i] = max(b, 1) // no zeros except those set below
	}
	block[0], block[1], block[len(block)-17] = 0, 2, 0
	paddings[class](block)
	m := new(big.Int).SetBytes(block)
	if m.Cmp(public.N) >= 0 {
		return padded(t, public, class)
	}
	c := m.Exp(m, big.NewInt(int64(public.E)), public.N)
	return c.FillBytes(make([]byte, public.Size()))
}

// TestPaddingTiming compares valid padding with eight kinds of invalid padding: the
// error, the record and the time are the same.
func TestPaddingTiming(t *testing.T) {
	if testEdition() != Standard {
		t.Skip("the run in the Standard edition measures it; the FIPS edition has no PKCS #1 v1.5")
	}
	const each = 24
	v, _ := newTestVault(t, Config{openEngine: storetest.NewMemory().Open})
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: AsymmetricDecrypt}).ID
	public := publicRSA(t, c, k)
	inputs := make([][][]byte, len(paddings))
	for class := range inputs {
		for range each {
			inputs[class] = append(inputs[class], padded(t, public, class))
		}
	}
	input, now, next := make([]byte, public.Size()), 0, 0
	trial := ranktest.Trial{
		Samples: 5000, Invalid: len(paddings) - 1,
		Prepare: func(class int) {
			now, next = class, next+1
			copy(input, inputs[class][next%each])
		},
		Call: func() {
			if _, err := c.AsymmetricDecrypt(ctx, k, input, RSAESPKCS1V15); err != nil {
				t.Errorf("AsymmetricDecrypt with padding of class %d: %v, want no error", now, err)
			}
		},
	}
	first := v.store.LogState().Size
	if detected, p := trial.Calibrate(func() {
		trial.Call()
		for start := time.Now(); now == 0 && time.Since(start) < 100*time.Microsecond; {
		}
	}); !detected {
		t.Errorf("the control, which does leak, was not detected, p = %v", p)
	}
	if differs, p := trial.Differs(); differs {
		t.Errorf("good and bad padding take different time, p = %v", p)
	}
	sameRecords(t, v, first)
}

// sameRecords checks that the records from first on differ in number and time only.
func sameRecords(t *testing.T, v *Vault, first uint64) {
	t.Helper()
	var want []byte
	for e, err := range v.store.LogRange(t.Context(), first, v.store.LogState().Size) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := audit.ParseRecord(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		r.Seq, r.Time, r.Uptime = 0, time.Unix(0, 0).UTC(), 0
		got := r.Append(nil)
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("records differ:\n%s\n%s", got, want)
		}
	}
}
