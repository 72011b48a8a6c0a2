package pkcs1_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs1"
	"strongroom.example/internal/testing/ranktest"
)

// The least number of timed calls in one run: of the unpadding alone, and of the whole RSA
// decryption.
const (
	samples        = 10_000
	samplesOverRSA = 1_000
)

// bench holds the inputs of the timed calls, at the same addresses for every class.
type bench struct {
	block, ciphertext, dst []byte
}

func newBench() *bench {
	return &bench{block: make([]byte, size), ciphertext: make([]byte, size), dst: make([]byte, 0, size)}
}

// prepare makes a fresh block: class 0 is valid, the others are badBlocks.
func (b *bench) prepare(class int) {
	copy(b.block, pad(random(32), size))
	if class > 0 {
		badBlocks[class-1].spoil(b.block)
	}
	rand.Read(b.ciphertext)
}

func (b *bench) unpad() { pkcs1.Unpad(b.dst, b.block, b.ciphertext, key) }

// leakyUnpad returns early, a mistake that the test must detect.
func (b *bench) leakyUnpad() {
	if _, ok := plain(b.block); ok {
		b.unpad()
	}
}

func TestTimeTellsNothing(t *testing.T) {
	b := newBench()
	compareTimes(t, ranktest.Trial{Samples: samples, Invalid: len(badBlocks), Prepare: b.prepare, Call: b.unpad},
		b.leakyUnpad)
}

// compareTimes checks that an early return is detected, and that with as many calls the
// trial detects no difference.
func compareTimes(t *testing.T, trial ranktest.Trial, early func()) {
	t.Helper()
	detected, ps := trial.Calibrate(early)
	if !detected {
		t.Errorf("the test does not detect an early return: p is %.3g", ps)
	}
	t.Logf("with an early return and up to %d calls p is %.3g", trial.Samples, ps)
	differs, ps := trial.Differs()
	if differs {
		t.Errorf("the times of valid and invalid padding differ: p is %.3g", ps)
	}
	t.Logf("p is %.3g", ps)
}

// TestTimeTellsNothingOverRSA times the whole decryption, from ciphertext to message.
func TestTimeTellsNothingOverRSA(t *testing.T) {
	private, key := draftKey(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	engine := openRSA(t, 2048, pkcs8)
	b, e := newBench(), big.NewInt(int64(private.E))
	prepare := func(class int) {
		b.prepare(class)
		m := new(big.Int).SetBytes(b.block)
		m.Mod(m, private.N).Exp(m, e, private.N).FillBytes(b.ciphertext)
	}
	decrypt := func(unpad func()) func() {
		return func() {
			block, err := engine.Decrypt(context.Background(), b.block[:0], driver.RSARaw, b.ciphertext)
			if err != nil || len(block) != size {
				t.Errorf("%d bytes, %v", len(block), err)
			}
			unpad()
		}
	}
	trial := ranktest.Trial{Samples: samplesOverRSA, Invalid: len(badBlocks), Prepare: prepare}
	trial.Call = decrypt(func() { pkcs1.Unpad(b.dst, b.block, b.ciphertext, key) })
	compareTimes(t, trial, decrypt(b.leakyUnpad))
}
