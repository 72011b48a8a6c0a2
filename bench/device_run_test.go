package bench

import (
	"context"
	"errors"
	"flag"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// TestDevice measures a driver that the test hands over, as a third party does, each point
// for a moment, and checks that all keys are gone after it.
func TestDevice(t *testing.T) {
	benchtime := flag.Lookup("test.benchtime")
	before := benchtime.Value.String()
	if err := benchtime.Value.Set("1x"); err != nil {
		t.Fatal(err)
	}
	defer benchtime.Value.Set(before)
	device := drivertest.NewMemory(
		driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive},
		driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign},
		driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Decrypt})
	calls := 0
	result := testing.Benchmark(func(b *testing.B) {
		m, err := open(Device{Name: "memory", Callers: []int{1, 2, 8}, Open: func(context.Context) (driver.Driver, error) { return device, nil }})
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			if err := m.close(); err != nil {
				b.Error(err)
			}
		}()
		if m.Note != EmulatorNote {
			b.Errorf("the note of a driver of level %s is %q", m.info.Level, m.Note)
		}
		for _, w := range workloads() {
			if w.name != "Layers" { // takes seconds
				b.Run(w.name, func(b *testing.B) { w.run(b, m); calls++ })
			}
		}
	})
	if result.N == 0 || calls != len(workloads())-1 {
		t.Errorf("%d groups were measured, %v", calls, result)
	}
	for id, err := range device.Reopen().ListKeys(t.Context()) {
		t.Errorf("key %v stays in the device (%v)", id, err)
	}
}

// TestLayersOrder checks the layers of an operation without a baseline, and the ratios.
func TestLayersOrder(t *testing.T) {
	nothing := func(context.Context, []byte) error { return nil }
	log := newDurable(t, t.TempDir()+"/log", 8)
	raw := func(*testing.B, int, time.Duration) Cost { return Cost{Wall: 1} }
	for _, c := range []struct {
		layered
		want string
	}{
		{layered{core: nothing, vault: nothing}, "driver durable vault "},
		{layered{core: nothing, bare: true, vault: nothing}, "raw durable vault "},
		{layered{raw: raw, core: nothing, vault: nothing}, "raw driver durable vault "},
	} {
		got := ""
		for _, l := range c.list(log) {
			got += l.name + " "
		}
		if got != c.want {
			t.Errorf("the layers are %q, want %q", got, c.want)
		}
	}
}

// TestRecorderDestroysKeys checks that the keys that a vault makes in a device are destroyed
// after a benchmark, those of a creation that failed too.
func TestRecorderDestroysKeys(t *testing.T) {
	r := newRecorder(drivertest.NewMemory())
	id, spec := newID(), driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	if _, err := r.GenerateKey(t.Context(), id, spec); err != nil {
		t.Fatal(err)
	}
	if err := r.destroyAll(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenKey(t.Context(), id, spec, nil); !errors.Is(err, driver.NotFound) {
		t.Errorf("the key is still there: %v", err)
	}
}
