package tpm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/poll"
)

// cycles returns how often a test breaks the TPM: 50 times, or STRONGROOM_FAULT_CYCLES
// times.
func cycles(t *testing.T) int {
	t.Helper()
	return heavy.Count(t, "STRONGROOM_FAULT_CYCLES", 50)
}

// A callResults counts the results of calls while the TPM was killed.
type callResults struct {
	mu                  sync.Mutex
	good, failed, wrong int
	slowest             time.Duration
	complaints          []string
}

// call runs one call and records its result: a right result, or an allowed error in time.
func (c *callResults) call(name string, run func() error) error {
	from := time.Now()
	err := run()
	took := time.Since(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slowest = max(c.slowest, took)
	switch {
	case err == nil:
		c.good++
	case errors.Is(err, driver.Unavailable) || errors.Is(err, driver.Unknown) && name == "Increment":
		c.failed++
	default:
		c.wrong++
		c.complaints = append(c.complaints, fmt.Sprintf("%s: %v", name, err))
	}
	return err
}

var errOtherResult = errors.New("another result")

// TestPowerLoss repeatedly kills the TPM under load, with calls in flight, and starts it
// again. Each call must return the right result, or an allowed error in time. The counter
// must count every acknowledged Increment once.
func TestPowerLoss(t *testing.T) {
	s := newTPM(t)
	d := openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500001})
	var keys []driver.PRF
	var want [][]byte
	for range 3 { // with the signing key, more than the TPM keeps loaded
		k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
		keys, want = append(keys, k), append(want, prf(t, k))
	}
	key := generate(t, d, p256Spec)
	signer := openAs[driver.Signer](t, d, key)
	public := parsePublic(t, key.PublicDER)
	first := read(t, d)

	var c callResults
	var counted, doubtful uint64
	var away time.Duration // the longest start of the TPM
	stop := make(chan struct{})
	var all sync.WaitGroup
	load := func(name string, run func() error) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.call(name, run)
				}
			}
		})
	}
	for i, k := range keys {
		load("PRF", func() error {
			out, err := k.PRF(context.Background(), nil, []byte("question"))
			if err == nil && !bytes.Equal(out, want[i]) {
				err = errOtherResult
			}
			return err
		})
	}
	load("Sign", func() error {
		digest := make([]byte, 32)
		signature, err := signer.Sign(context.Background(), driver.ECDSASHA256, digest)
		if err == nil && !verifyECDSA(public, digest, signature) {
			err = errOtherResult
		}
		return err
	})
	load("Increment", func() error {
		_, err := d.Increment(context.Background())
		switch {
		case err == nil:
			counted++
		case errors.Is(err, driver.Unknown):
			doubtful++
		}
		return err
	})
	lag := poll.Lag()
	for range cycles(t) {
		<-time.After(time.Duration(rand.IntN(12_000)) * time.Microsecond)
		s.Kill()
		<-time.After(time.Duration(rand.IntN(5_000)) * time.Microsecond)
		from := time.Now()
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		away = max(away, time.Since(from))
	}
	close(stop)
	all.Wait()
	late := lag()
	for i, k := range keys {
		if !bytes.Equal(prf(t, k), want[i]) {
			t.Error("PRF after the last kill returned another result than before")
		}
	}
	if now := read(t, d); now < first+counted || now > first+counted+doubtful {
		t.Errorf("the counter is at %d, after a start at %d, %d acknowledged and %d uncertain increments", now, first, counted, doubtful)
	}
	if c.wrong > 0 || c.good == 0 || c.slowest > limit(late)+away {
		t.Errorf("%d calls had a wrong result; the slowest call took %v, and timers on the machine were %v late: %v", c.wrong, c.slowest, late, c.complaints[:min(5, len(c.complaints))])
	}
	t.Logf("%d kills: %d calls succeeded, %d had an allowed error, the slowest took %v; %d increments acknowledged, %d uncertain", cycles(t), c.good, c.failed, c.slowest, counted, doubtful)
}

// limit is the longest time in which a call must fail that cannot reach the TPM, on a machine
// whose timers are as late as late. On an idle machine a call tries for Config.Patience, half a
// second, to connect, and a call that began before the loss may wait for another one that does.
func limit(late time.Duration) time.Duration { return 3*time.Second + 10*late }

// TestBreakEverywhere breaks the connection at each command in the life of a key in turn,
// before and after the TPM has executed the command.
func TestBreakEverywhere(t *testing.T) {
	d, w, _ := openWired(t)
	p := protector(t, d, tpm.Policy{PCRs: []uint{7}})
	life := func() error {
		n := named{spec: hmacSpec}
		var err error
		if n.Created, err = d.GenerateKey(context.Background(), n.id, n.spec); err != nil {
			return err
		}
		k, err := d.OpenKey(context.Background(), n.id, n.spec, n.Blob)
		if err != nil {
			return err
		}
		defer k.Close()
		if _, err := k.(driver.PRF).PRF(context.Background(), nil, make([]byte, 2000)); err != nil {
			return err
		}
		root := make([]byte, 32)
		blob, err := p.Protect(context.Background(), binding, root)
		if err != nil {
			return err
		}
		out, err := p.Recover(context.Background(), nil, binding, blob)
		if err == nil && !bytes.Equal(out, root) {
			err = errOtherResult
		}
		return err
	}
	before := w.Count()
	if err := life(); err != nil {
		t.Fatal(err)
	}
	commands := w.Count() - before
	for i := range commands {
		for _, executed := range []bool{false, true} {
			w.Break(0, i, executed)
			if err := life(); err != nil {
				t.Errorf("connection broken at command %d (executed: %v): %v", i, executed, err)
			}
		}
	}
	if loadedHandles := loadedHandles(t, d); loadedHandles > 3 {
		t.Errorf("%d handles are loaded, want at most 3", loadedHandles)
	}
	t.Logf("%d commands, each broken in two ways", commands)
}
