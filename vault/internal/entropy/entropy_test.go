package entropy

import (
	"bytes"
	"context"
	"crypto/fips140"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/suite"
)

// fixedRandom is a device whose random generator is a given function.
type fixedRandom struct {
	*drivertest.Memory
	random func(p []byte) error
}

func (d fixedRandom) Random(_ context.Context, p []byte) error { return d.random(p) }

// nines fills p with the byte 9.
func nines(p []byte) error {
	copy(p, bytes.Repeat([]byte{9}, len(p)))
	return nil
}

// noGenerator is a device whose driver implements Random, but reports that the device has no
// generator.
type noGenerator struct{ fixedRandom }

func (n noGenerator) Info() driver.Info {
	info := n.Memory.Info()
	info.Random = false
	return info
}

// newSource returns a Source with a key of zeros, reseeded with 32 bytes of each value.
func newSource(id suite.ID, reseeds ...byte) *Source {
	s := New(id, make([]byte, KeySize), clock.NewFake(time.Unix(0, 0)))
	for _, b := range reseeds {
		s.Reseed(bytes.Repeat([]byte{b}, reseedSize))
	}
	return s
}

// TestReseedChangesOutput: with all other inputs equal, different device bytes give
// different output, and equal bytes equal output.
func TestReseedChangesOutput(t *testing.T) {
	out := func(id suite.ID, reseeds ...byte) (made [16]byte) {
		newSource(id, reseeds...).mix(made[:], &fixedInput{}, nil) // as if the operating system's random bytes were zero
		return made
	}
	for _, id := range []suite.ID{suite.AES, suite.SM} {
		if id == suite.SM && fips140.Enforced() {
			continue // Go refuses HMAC-SM3 in this mode
		}
		seen := map[[16]byte]bool{}
		for _, reseeds := range [][]byte{nil, {0}, {1}, {1, 1}, {1, 2}, {2, 1}} {
			one := out(id, reseeds...)
			if seen[one] {
				t.Errorf("%v after %v: the output of other device bytes", id, reseeds)
			}
			if seen[one] = true; out(id, reseeds...) != one {
				t.Errorf("%v after %v: the output differs for the same device bytes", id, reseeds)
			}
		}
	}
}

// TestReseedFrom: a device's random bytes are in the key when the channel is closed, and
// again after each interval. A device that reports no generator, fails, or hangs whatever
// its context changes nothing, and does not keep other devices from being used.
func TestReseedFrom(t *testing.T) {
	hang := make(chan struct{})
	fails := func(p []byte) error { p[0] = 1; return &driver.Error{Op: "Random", Class: driver.Unavailable} }
	hangs := func(p []byte) error { <-hang; return fails(p) }
	for name, row := range map[string]struct {
		devices []driver.Driver
		want    []byte // reseeds within the first interval and a half
		all     bool   // every device answers
	}{
		"none":             {nil, nil, true},
		"works":            {[]driver.Driver{fixedRandom{drivertest.NewMemory(), nines}}, []byte{9, 9}, true},
		"no generator":     {[]driver.Driver{noGenerator{fixedRandom{drivertest.NewMemory(), nines}}}, nil, true},
		"fails":            {[]driver.Driver{fixedRandom{drivertest.NewMemory(), fails}}, nil, true},
		"fails beside one": {[]driver.Driver{fixedRandom{drivertest.NewMemory(), fails}, fixedRandom{drivertest.NewMemory(), nines}}, []byte{9, 9}, true},
		"hangs":            {[]driver.Driver{fixedRandom{drivertest.NewMemory(), hangs}}, nil, false},
		"hangs beside one": {[]driver.Driver{fixedRandom{drivertest.NewMemory(), hangs}, fixedRandom{drivertest.NewMemory(), nines}}, []byte{9, 9}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang = make(chan struct{})
				drivers := map[string]driver.Driver{}
				for i, d := range row.devices {
					drivers[string(rune('a'+i))] = d
				}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				s := newSource(suite.AES)
				asked := s.ReseedFrom(ctx, drivers, time.Hour, running.Go)
				time.Sleep(90 * time.Minute)
				synctest.Wait()
				select {
				case <-asked:
					if !row.all {
						t.Error("the channel is closed before every device has answered")
					}
				default:
					if row.all {
						t.Error("the channel is not closed although every device has answered")
					}
				}
				if want := newSource(suite.AES, row.want...).key; !slices.Equal(s.key, want) {
					t.Error("the key does not have the random bytes of the devices that work, once for each request")
				}
				cancel()
				running.Wait() // does not wait for a call that hangs
				close(hang)
			})
		})
	}
}

// TestLateRandomBytesAreWiped: bytes that arrive after ctx has ended are wiped.
func TestLateRandomBytesAreWiped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var late []byte
		hang := make(chan struct{})
		device := fixedRandom{random: func(p []byte) error {
			<-hang
			late = p
			return nines(p)
		}}
		time.AfterFunc(time.Second, cancel)
		if p := readDevice(ctx, device); p != nil {
			t.Errorf("readDevice after ctx ended: %d bytes, want nil", len(p))
		}
		close(hang)
		synctest.Wait()
		if !bytes.Equal(late, make([]byte, reseedSize)) {
			t.Error("the bytes are left in memory")
		}
	})
}
