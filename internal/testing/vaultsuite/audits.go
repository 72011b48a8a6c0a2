package vaultsuite

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/vault"
)

// audits: every operation is recorded with its principal, key and driver, and without
// secrets. The export verifies offline, and does not verify once a bit is changed.
func audits(t *testing.T, s *subject) {
	for _, x := range s.homes() {
		s.recordsUses(t, x)
		recordsTheRest(t, x)
	}
	exports(t, s.shared)
}

// recordsUses uses each kind of key for each of its operations and checks the records.
func (s *subject) recordsUses(t *testing.T, x *home) {
	t.Helper()
	type use struct {
		op  vault.Operation
		row row
	}
	want := map[string]use{}
	for _, r := range s.each() {
		m := s.sample(t, x, r)
		for _, a := range actsOf(r.usage) {
			id := fmt.Sprintf("audit of %s by %s", a.op, r)
			want[id] = use{a.op, r}
			ctx := vault.WithReason(vault.WithRequestID(t.Context(), id), "because")
			if err := a.run(ctx, x.owner(), m); err != nil {
				t.Fatalf("%s: %v", id, err)
			}
		}
	}
	for got, err := range x.owner().AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		u, asked := want[got.RequestID]
		if !asked || got.Operation != string(u.op) {
			continue // ReEncrypt also records the use of its other key
		}
		delete(want, got.RequestID)
		checkUse(t, got, x.key(t, u.row))
	}
	for id := range want {
		t.Errorf("no audit record of %s", id)
	}
}

// checkUse checks the record of one use of a key.
func checkUse(t *testing.T, got audit.Record, k vault.Key) {
	t.Helper()
	id := got.RequestID
	if got.Driver != k.Driver || got.Key != k.ID || got.KeyVersion != k.Version {
		t.Errorf("record of %s: driver %q, key %s, version %d, want those of the key", id, got.Driver, got.Key, got.KeyVersion)
	}
	if got.Decision != "ALLOW" || got.Result != audit.OK || got.Error != "" || got.Phase != audit.Single || got.Reason != "because" {
		t.Errorf("record of %s: %+v, want ALLOW, OK, a single phase and the reason", id, got)
	}
	if got.Principal != string(k.Creator) || got.Time.IsZero() || (len(got.ContextHash) == 0) != (k.Usage != vault.EncryptDecrypt) {
		t.Errorf("record of %s: %+v, want principal and time, and a context hash for encryption only", id, got)
	}
}

// recordsTheRest checks the records of operations that create keys, that fail and that
// are refused.
func recordsTheRest(t *testing.T, x *home) {
	t.Helper()
	const id = "audit of the rest"
	ctx := vault.WithRequestID(t.Context(), id)
	c := x.owner()
	k, err := c.CreateKey(ctx, x.options(symmetricRow(x.cfg.Edition)))
	if err != nil {
		t.Fatal(err)
	}
	ct := encrypt(t, x, k.ID)
	_, rotated := c.RotateKey(ctx, k.ID)
	_, wrong := c.Decrypt(ctx, ct, nil)
	_, refused := x.vault.As("eve").Encrypt(ctx, k.ID, nil, nil)
	if err := errors.Join(rotated, c.DisableKeys(ctx, k.ID)); err != nil || wrong == nil || refused == nil {
		t.Fatalf("RotateKey or DisableKeys: %v; a wrong and a refused call: %v, %v, want errors", err, wrong, refused)
	}
	want := []string{
		"CreateKey INTENT  ", "CreateKey OUTCOME OK ", "RotateKey INTENT  ", "RotateKey OUTCOME OK ",
		"Decrypt  FAILED CIPHERTEXT", "Encrypt  REFUSED DENIED", "DisableKey  OK ",
	}
	var got []string
	for _, r := range recorded(t, x, audit.Filter{Key: k.ID}, id) {
		got = append(got, fmt.Sprintf("%s %s %s %s", r.Operation, r.Phase, r.Result, r.Error))
		if r.Driver != k.Driver {
			t.Errorf("%s is recorded with driver %q, want the key's", r.Operation, r.Driver)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

// exports verifies the whole log with only its public key.
func exports(t *testing.T, x *home) {
	t.Helper()
	n := uint64(0)
	for r, err := range x.owner().AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		text := r.Append(nil)
		if bytes.Contains(text, []byte(message)) || bytes.Contains(text, []byte(purpose()["tenant"])) {
			t.Fatalf("an audit record contains plaintext or context: %s", text)
		}
		if r.Seq != n {
			t.Fatalf("AuditRecords: record %d is at position %d", r.Seq, n)
		}
		n++
	}
	var export bytes.Buffer
	if err := x.owner().ExportAudit(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	report, err := audit.VerifyExport(bytes.NewReader(export.Bytes()), x.vault.LogKey())
	if err != nil || report.Records < n+2 { // the reading and the export are also recorded
		t.Errorf("VerifyExport: %+v, %v, want at least %d records", report, err, n+2)
	}
	bad := bytes.Clone(export.Bytes())
	bad[len(bad)/2] ^= 1
	if _, err := audit.VerifyExport(bytes.NewReader(bad), x.vault.LogKey()); !errors.Is(err, audit.ErrFault) {
		t.Errorf("VerifyExport with a bit flipped: %v, want ErrFault", err)
	}
}
