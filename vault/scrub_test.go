package vault

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestScrub: a scrub runs when it is due, its result is in Health, and a finding is
// recorded once.
func TestScrub(t *testing.T) {
	cfg, m := testConfig(), storetest.NewMemory()
	now := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	cfg.Clock, cfg.openEngine = now, func(dir string) (keystore.Engine, error) { return m.Open(dir) }
	cfg.Scrub = ScrubSchedule{Every: time.Hour, BytesPerSecond: 1 << 30}
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	mustKey(t, c, KeyOptions{})
	scrubbed := func(what string) ScrubHealth {
		t.Helper()
		due := v.Health().Scrub.Next
		now.Advance(due.Sub(now.Now()))
		poll.Until(t, what, func() bool { h := v.Health().Scrub; return !h.Running && h.Next.After(due) })
		return v.Health().Scrub
	}
	if h := v.Health().Scrub; !h.Next.Equal(now.Now().Add(scrubFirst)) || !h.Last.IsZero() {
		t.Errorf("Health of a new vault: %+v", h)
	}
	if h := scrubbed("the first scrub"); h.Err != nil || !h.Last.Equal(now.Now()) || !h.Next.Equal(now.Now().Add(time.Hour)) {
		t.Errorf("Health after a scrub: %+v", h)
	}
	var segment string
	for key := range m.Snapshot() {
		if key[0] == 'a' && (segment == "" || key < segment) {
			segment = key
		}
	}
	good := m.Snapshot()[segment]
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	m.Change(segment, bad)
	for range 2 {
		if h := scrubbed("a scrub of a damaged store"); !errors.Is(h.Err, ErrCorrupt) {
			t.Errorf("Health of a damaged vault: %+v, want ErrCorrupt", h)
		}
	}
	m.Change(segment, good)
	if h := scrubbed("a scrub of the mended store"); h.Err != nil {
		t.Errorf("Health of a mended vault: %+v", h)
	}
	found := 0
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Operation == string(OpScrub) {
			found++
			if r.Error != "CORRUPT" || r.Result != audit.Failed || r.Detail["finding"] == "" {
				t.Errorf("the record of a finding is %+v", r)
			}
		}
	}
	if found != 1 {
		t.Errorf("a finding of two scrubs is recorded %d times, want once", found)
	}
	cfg.Scrub.Every = -1
	off, _ := newTestVault(t, Config{Edition: cfg.Edition, Scrub: cfg.Scrub})
	if h := off.Health().Scrub; !h.Next.IsZero() {
		t.Errorf("Health of a vault that is not scrubbed: %+v", h)
	}
}
