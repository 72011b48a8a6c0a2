//go:build cgo && unix

package guide

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/openssltest"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
	"strongroom.example/vault/throttle"
	"strongroom.example/vault/vaulttest"
)

// A flow is one row of the table. It runs the whole flow, fails the test if a step has
// another result than the guide promises, and returns the cell.
type flow struct {
	name string
	run  func(s *stand) string
}

// The cells.
const (
	inDevice     = "device"
	wrapped      = "wrapped"
	byRequest    = "wrapped, device if named"
	notInEdition = "not in this edition"
	holds        = "yes"
)

// flows lists the sections of the guide in order.
func flows() []flow {
	all := []flow{
		{"Sensitive data up to 4 KB", sensitiveData},
		{"Envelope encryption, one data key reused", envelope},
		{"Large file, encrypted locally", largeFile},
	}
	all = append(all, decryptions()...)
	all = append(all, signatures()...)
	all = append(all, imports()...)
	return append(all,
		flow{"Material: expiry, re-import, deletion", materialLife},
		flow{"Scheduled deletion of a CMK", scheduledDeletion},
		flow{"Rotation", rotation},
		flow{"Permission control", permissions},
		flow{"Audit", auditLog},
		flow{"Back-off", backOff},
		flow{"The vault opens again by", opensAgain},
	)
}

// A stand is the vault of one column with what the flows need. Its Bench is that of the flow
// that runs.
type stand struct {
	openssltest.Bench
	column
	vault  *vault.Vault
	owner  vault.Client
	clock  *vaulttest.Clock
	device *drivertest.Faulty // nil for the software engine
	reopen func() (*vault.Vault, string, error)
}

// TestGuide runs every flow on every device, and compares the results with the table.
func TestGuide(t *testing.T) {
	cells := make([][]string, len(columns))
	t.Run("columns", func(t *testing.T) {
		for i, c := range columns {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				cells[i] = c.fill(t)
			})
		}
	})
	if t.Failed() {
		return
	}
	if slices.ContainsFunc(cells, func(column []string) bool { return column == nil }) {
		t.Skip("a device is not installed")
	}
	compare(t, "flows", flowTable(cells))
}

// TestNumbers keeps the table of limits.
func TestNumbers(t *testing.T) { compare(t, "numbers", numberTable()) }

// fill runs every flow in a column, and returns its cells.
func (c column) fill(t *testing.T) []string {
	t.Helper()
	s := c.newStand(t)
	var cells []string
	for _, f := range flows() {
		t.Run(f.name, func(t *testing.T) {
			s.Bench = openssltest.New(t)
			cells = append(cells, f.run(s))
		})
	}
	return cells
}

// newStand makes the vault of a column.
func (c column) newStand(t *testing.T) *stand {
	t.Helper()
	cfg, device, protectors := c.config(t)
	s := &stand{column: c, device: device, clock: vaulttest.NewClock(time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC))}
	cfg.Clock, cfg.Policies = s.clock, policy.Cedar{}
	cfg.Limiter = onlyBatch{throttle.New(throttle.Config{Classes: map[throttle.Class]throttle.Rate{throttle.Random: {PerSecond: 100, Burst: 1}}})}
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := vault.Create(t.Context(), dir, cfg, protectors...)
	if err != nil {
		t.Fatal(err)
	}
	s.vault, s.owner = v, v.As(vault.DefaultOwner)
	s.reopen = func() (*vault.Vault, string, error) {
		v, err := vault.Open(t.Context(), dir, cfg, protectors[0])
		return v, protectors[0].Kind(), err
	}
	t.Cleanup(func() {
		if err := s.vault.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// keys returns the keys of a kind: the one that the vault makes by default, and if that is
// wrapped and the device can have such a key, one that is in the device. The cell says which.
// There are no keys if the edition refuses them.
func (s *stand) keys(o vault.KeyOptions) (keys []vault.Key, cell string) {
	s.Helper()
	k, err := s.owner.CreateKey(s.Context(), o)
	if s.refused(err, string(o.Spec)) {
		return nil, notInEdition
	}
	if err != nil {
		s.Fatal(err)
	}
	if k.Residence == vault.Resident {
		return []vault.Key{k}, inDevice
	}
	if s.device == nil {
		return []vault.Key{k}, wrapped
	}
	o.Driver, o.Alias = "device", ""
	second, err := s.owner.CreateKey(s.Context(), o)
	if errors.Is(err, vault.ErrUnsupported) {
		return []vault.Key{k}, wrapped
	}
	if err != nil || second.Residence != vault.Resident {
		s.Fatalf("CreateKey in the device: %+v, %v", second, err)
	}
	return []vault.Key{k, second}, byRequest
}

// refused reports whether err says that the edition refuses an algorithm, and fails the test
// if the edition does not list it.
func (s *stand) refused(err error, alg string) bool {
	s.Helper()
	if s.edition == vault.Standard || !errors.Is(err, vault.ErrUnsupported) {
		return false
	}
	if list := s.vault.EditionReport().Refused; !slices.Contains(list, alg) {
		s.Errorf("%s: %v, and the edition refuses only %q", alg, err, list)
	}
	return true
}

// ok ends the flow if err is not nil.
func (s *stand) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// want checks that err is target.
func (s *stand) want(what string, err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Errorf("%s: %v, want %v", what, err, target)
	}
}

// state checks the state of a key.
func (s *stand) state(id string, want vault.KeyState) {
	s.Helper()
	if k, err := s.owner.DescribeKey(s.Context(), id); err != nil || k.State != want {
		s.Errorf("the key is %q, %v, want %s", k.State, err, want)
	}
}
