package failures

import (
	"fmt"
	"testing"
	"time"

	"strongroom.example/audit"
)

// TestPersistentPrincipalKeepsCountDuringNoise: a principal that fails more often than each
// of the invented ones keeps its name, even if they come later.
func TestPersistentPrincipalKeepsCountDuringNoise(t *testing.T) {
	f, now := New(), time.Unix(1e9, 0)
	refused := func(name string) {
		rec := audit.Record{Principal: name, Operation: "Encrypt", Error: "DENIED"}
		if !f.Admit(rec, now) {
			f.Count(rec, 1, now)
		}
	}
	f.recorded, f.window = MaxRecords, now // as after much noise
	for range 3 {
		refused("mallory")
	}
	for i := range 5 * MaxPrincipals {
		refused(fmt.Sprint("invented-", i))
	}
	sums := map[string]uint64{}
	for _, r := range f.All() {
		sums[r.Principal] += max(1, r.Count)
	}
	if sums["mallory"] != 3 || sums[Many] == 0 {
		t.Errorf("mallory has %d refusals, and %d are anonymous, want 3 and some", sums["mallory"], sums[Many])
	}
}
