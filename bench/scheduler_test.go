package bench

import (
	"fmt"
	"testing"
	"time"

	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

// scheduledKeys is the number of CMKs for which the vault has a task.
const scheduledKeys = 10_000

// BenchmarkScheduler measures what the vault does once a second with many tasks scheduled,
// of which none is due. It reports
//   - "ms/wake": the processor time of one wake,
//   - "x-empty": the same, divided by that of a vault without keys.
func BenchmarkScheduler(b *testing.B) {
	softwareOnly(b)
	b.Run(fmt.Sprintf("driver=soft/keys=%d", scheduledKeys), func(b *testing.B) {
		empty := measureWake(b, 0)
		full := measureWake(b, scheduledKeys)
		b.ReportMetric(full*1e3, "ms/wake")
		b.ReportMetric(full/empty, "x-empty")
		b.ReportMetric(0, "ns/op") // it includes the making of the keys
	})
}

// measureWake returns the processor time of one wake in seconds, of a vault with n CMKs that
// are to be deleted in 30 days.
func measureWake(b *testing.B, n int) float64 {
	b.Helper()
	v := vaulttest.New(b)
	c := v.As(vault.DefaultOwner)
	err := appendAll(50, n, func() error {
		k, err := c.CreateKey(b.Context(), vault.KeyOptions{})
		if err != nil {
			return err
		}
		if err := c.DisableKeys(b.Context(), k.ID); err != nil {
			return err
		}
		_, err = c.ScheduleKeyDeletion(b.Context(), k.ID, vault.MaxDeletionDays)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	const wakes = 1000
	var times []float64
	for range rounds {
		used := processorTime()
		for range wakes {
			v.Clock.Advance(time.Second)
		}
		times = append(times, (processorTime()-used).Seconds()/wakes)
	}
	return median(times)
}
