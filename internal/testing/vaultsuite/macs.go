package vaultsuite

import (
	"bytes"
	"errors"
	"testing"

	"strongroom.example/vault"
)

// macs: a MAC is deterministic, differs for each message and key, and does not verify if
// it is changed or truncated.
func macs(t *testing.T, s *subject) {
	for _, r := range s.usable() {
		if r.usage == vault.GenerateVerifyMac {
			t.Run(r.String(), func(t *testing.T) { s.macsUnder(t, r) })
		}
	}
}

func (s *subject) macsUnder(t *testing.T, r row) {
	ctx, c := t.Context(), s.shared.owner()
	k := s.shared.key(t, r).ID
	other := s.shared.create(t, s.shared.options(r)).ID
	mac := func(key string, message []byte) []byte {
		t.Helper()
		m, err := c.GenerateMac(ctx, key, message)
		if err != nil || len(m) != r.device.Algorithm.MACSize() {
			t.Fatalf("GenerateMac: %d bytes, %v, want %d", len(m), err, r.device.Algorithm.MACSize())
		}
		return m
	}
	seen := map[string]bool{}
	for _, m := range [][]byte{mac(k, nil), mac(k, []byte("m")), mac(k, []byte("n")), mac(k, make([]byte, vault.MaxMessage)), mac(other, []byte("m"))} {
		if seen[string(m)] {
			t.Error("two messages or keys have the same MAC")
		}
		seen[string(m)] = true
	}
	good := mac(k, []byte("m"))
	if !bytes.Equal(good, mac(k, []byte("m"))) {
		t.Error("GenerateMac of one message returned two different MACs")
	}
	flipped := bytes.Clone(good)
	flipped[len(good)-1] ^= 1
	for name, row := range map[string]struct {
		message, mac []byte
		want         bool
	}{
		"good": {[]byte("m"), good, true}, "other message": {[]byte("n"), good, false}, "flipped": {[]byte("m"), flipped, false},
		"cut": {[]byte("m"), good[:len(good)-1], false}, "longer": {[]byte("m"), append(bytes.Clone(good), 0), false}, "empty": {[]byte("m"), nil, false},
	} {
		if ok, err := c.VerifyMac(ctx, k, row.message, row.mac); ok != row.want || err != nil {
			t.Errorf("VerifyMac, %s: %v, %v", name, ok, err)
		}
	}
	if _, err := c.GenerateMac(ctx, k, make([]byte, vault.MaxMessage+1)); !errors.Is(err, vault.ErrTooLarge) {
		t.Errorf("GenerateMac of %d bytes: %v, want ErrTooLarge", vault.MaxMessage+1, err)
	}
}
