package vault

import (
	"errors"
	"testing"

	"strongroom.example/audit"
)

// TestLastAuditRecords compares the end of the log with the whole of it.
func TestLastAuditRecords(t *testing.T) {
	v := newMemoryVault(t, Config{})
	c := v.As(DefaultOwner)
	for range 5 {
		if _, err := c.GenerateRandom(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	var all []audit.Record
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	for _, n := range []int{1, 3, maxLastRecords} {
		last, err := c.LastAuditRecords(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		// Since all was read, the log has one record more for each reading.
		first := last[0].Seq
		if end := last[len(last)-1].Seq + 1; end-first != uint64(min(n, int(end))) || end <= uint64(len(all)) {
			t.Errorf("the last %d records are %d to %d", n, first, end-1)
		}
		for i, r := range last {
			if r.Seq != first+uint64(i) || r.Seq < uint64(len(all)) && r.Operation != all[r.Seq].Operation {
				t.Errorf("record %d is %d, %s", i, r.Seq, r.Operation)
			}
		}
	}
	for _, n := range []int{-1, 0, maxLastRecords + 1} {
		if _, err := c.LastAuditRecords(t.Context(), n); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d records: %v, want ErrInvalid", n, err)
		}
	}
	if _, err := v.As("stranger").LastAuditRecords(t.Context(), 1); !errors.Is(err, ErrDenied) {
		t.Errorf("a stranger: %v, want ErrDenied", err)
	}
}
