package tpm_test

import (
	"context"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestSpoiltResponse has one response arrive that does not parse. Its call fails, and
// none after it: the session, whose nonce the TPM has rolled, is given up.
func TestSpoiltResponse(t *testing.T) {
	for name, spoil := range map[string]func(rsp []byte) []byte{
		"short":  func(rsp []byte) []byte { return resized(rsp, len(rsp)-8) },
		"long":   func(rsp []byte) []byte { return resized(rsp, len(rsp)+1) },
		"header": func(rsp []byte) []byte { return resized(rsp, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			var m mangler
			cfg := m.config(chip(t))
			cfg.Counter = 0x01500001
			d := openConfig(t, cfg)
			k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
			want := prf(t, k)
			m.spoil(0x14E, spoil)
			if _, err := d.Read(context.Background()); !errors.Is(err, driver.Unknown) {
				t.Errorf("TPM2_NV_Read with a spoilt response: %v, want Unknown", err)
			}
			if string(prf(t, k)) != string(want) {
				t.Error("another answer")
			}
			read(t, d)
		})
	}
}

// TestSessionOutOfStep starts a session whose first nonce arrives with one bit changed.
// The TPM refuses what is authorized in it: one call fails, and the next
// has a new session.
func TestSessionOutOfStep(t *testing.T) {
	var m mangler
	d := openConfig(t, m.config(chip(t)))
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	d.AgeSession()
	m.spoil(0x176, flipAt(20))
	if _, err := k.PRF(context.Background(), nil, []byte("question")); !errors.Is(err, driver.Denied) {
		t.Errorf("in a session that is out of step: %v, want Denied", err)
	}
	if string(prf(t, k)) != string(want) {
		t.Error("another answer")
	}
}

// TestResetLockoutStakesNothing has the session out of step when a lockout is to be
// ended. The right authorization, sent there, would be taken for a wrong one, and refused
// for hours.
func TestResetLockoutStakesNothing(t *testing.T) {
	var m mangler
	d := openConfig(t, m.config(testtoken.NewSWTPM(t)))
	d.AgeSession()
	m.spoil(0x176, flipAt(20))
	for range 2 {
		if err := d.ResetLockout(context.Background(), nil); err != nil {
			t.Errorf("with the right authorization: %v", err)
		}
	}
}

// flipAt flips a bit.
func flipAt(i int) func(rsp []byte) []byte {
	return func(rsp []byte) []byte { rsp[i] ^= 1; return rsp }
}
