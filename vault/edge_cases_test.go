package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/failures"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/rootunlock"
	"strongroom.example/vault/internal/tasks"
)

// TestRollbackDoesNotHang: when the context ends, the call waits for a device that hangs for at
// most a grace period. The rollback is done later.
func TestRollbackDoesNotHang(t *testing.T) {
	t.Parallel()
	device := drivertest.NewMemory()
	faulty, fake := drivertest.NewFaulty(device), clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	cfg := deviceConfig(faulty)
	cfg.Clock = fake
	v, _ := newTestVault(t, cfg)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Unknown, After: true})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Block: make(chan struct{})})
	ctx, cancel := context.WithCancel(t.Context())
	created := make(chan error, 1)
	go func() { created <- second(v.As(DefaultOwner).CreateKey(ctx, KeyOptions{})) }()
	poll.Until(t, "the device hangs", func() bool { return faulty.Waiting() > 0 })
	cancel()
	select {
	case err := <-created:
		if !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	case <-time.After(poll.Limit):
		t.Error("the call waits for the device, want an error after the grace period")
	}
	faulty.Clear()
	fake.Advance(tasks.RetryDelay)
	poll.Until(t, "the undoing", func() bool { return objects(t, device)+len(v.store.Paths(intents)) == 0 })
	outcomesNameIntents(t, v.As(DefaultOwner))
}

// TestRefusalsAfterClockJump: counted refusals are recorded after a minute, whatever
// happens to the time of day.
func TestRefusalsAfterClockJump(t *testing.T) {
	t.Parallel()
	v, c, fake, _ := newClockVault(t)
	for range failures.Each + 5 {
		if _, err := v.As("mallory").GenerateRandom(t.Context(), 1); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
	fake.Set(fake.Now().AddDate(-1, 0, 0))
	fake.Advance(failures.Window)
	poll.Until(t, "the count", func() bool { return lastRecord(t, c, OpGenerateRandom).Count == 5 })
}

// longRuleAuthorizer decides by rules that have long names.
func longRuleAuthorizer(Request) (Decision, error) {
	return Decision{Allow: true, Rule: strings.Repeat("r", 40<<10)}, nil
}

// TestLongRuleIsCut: a long rule name does not keep a record from being written.
func TestLongRuleIsCut(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(longRuleAuthorizer)
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	if _, err := c.GenerateRandom(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if r := lastRecord(t, c, OpGenerateRandom); len(r.Rule) != 128 {
		t.Errorf("the recorded rule has %d bytes, want 128", len(r.Rule))
	}
}

// TestListBesideFailedCreations: a CMK whose creation is rolled back during a listing does
// not end the listing.
func TestListBesideFailedCreations(t *testing.T) {
	t.Parallel()
	v, faulty, _, _ := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	for i := range byte(20) { // so that a listing takes long
		err := v.store.Commit(ctx, func(tx *keystore.Tx) error {
			for j := range byte(100) {
				k.ID = keyid.New([16]byte{i, j})
				tx.Put(keyPath(k.ID), encode(k))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Denied})
	var people sync.WaitGroup
	defer people.Wait()
	done := make(chan struct{})
	people.Go(func() {
		defer close(done)
		for range 200 {
			if _, err := c.CreateKey(ctx, KeyOptions{}); !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		}
	})
	for {
		for _, err := range c.ListKeys(ctx, KeyFilter{State: Enabled}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// scriptedProtector is a protector whose result for a blob is written in the blob.
type scriptedProtector struct{ driver.Protector }

func (scriptedProtector) Kind() string { return "verdicts" }

func (scriptedProtector) Recover(_ context.Context, _ []byte, _ driver.Binding, blob driver.Blob) ([]byte, error) {
	switch string(blob) {
	case "foreign":
		return nil, &driver.Error{Op: "Recover", Class: driver.Denied, Err: driver.ErrWrongDevice}
	case "locked":
		return nil, &driver.Error{Op: "Recover", Class: driver.Denied}
	case "short":
		return make([]byte, rootunlock.RootSize-1), nil
	}
	return bytes.Repeat(blob, rootunlock.RootSize), nil // in memory of its own
}

// TestProtectorsOfOtherDevices: a protector is a stranger if its device differs from that
// of every entry, in whatever order the entries are. A recovered root is valid in whatever
// memory it is.
func TestProtectorsOfOtherDevices(t *testing.T) {
	for _, row := range []struct {
		blobs    []string
		opens    bool
		stranger bool
	}{
		{[]string{"foreign"}, false, true},
		{[]string{"foreign", "foreign"}, false, true},
		{[]string{"locked", "foreign"}, false, false},
		{[]string{"foreign", "locked"}, false, false},
		{[]string{"foreign", "x"}, true, false},
		{[]string{"foreign", "short"}, false, false},
	} {
		arena := lockedmem.New(0)
		var entries []keystore.Protector
		for _, blob := range row.blobs {
			entries = append(entries, keystore.Protector{ID: blob, Kind: "verdicts", Blob: []byte(blob)})
		}
		unlocker := rootunlock.New(arena, math.MaxUint64, []driver.Protector{scriptedProtector{}})
		u, err := unlocker.Unlock(t.Context(), rootunlock.Wrapped{Entries: entries, Authenticates: func([]byte) bool { return true }})
		if (err == nil) != row.opens || errors.Is(err, ErrWrongDevice) && !row.stranger || len(u.OtherDevice) > 0 != row.stranger {
			t.Errorf("unlock of the blobs %v: %+v, error %v", row.blobs, u, err)
		}
		if row.opens && !bytes.Equal(u.Root.Bytes(), bytes.Repeat([]byte("x"), rootunlock.RootSize)) {
			t.Errorf("unlock of the blobs %v: root %q", row.blobs, u.Root.Bytes())
		}
		unlocker.Free()
		arena.Close()
	}
}

// TestReprotectOnFullDisk: a vault with the maximum number of protectors opens beside a new
// device, and records that the device was not added.
func TestReprotectOnFullDisk(t *testing.T) {
	ctx, dir, cfg := t.Context(), t.TempDir(), testConfig()
	word, protectors := passphrase(t, "p"), []driver.Protector{}
	for n := range 63 {
		protectors = append(protectors, &fakeTPMProtector{owner: []byte(fmt.Sprintf("%03d.", n))})
	}
	v, err := Create(ctx, dir, cfg, append(protectors, word)...)
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	if v, err = Open(ctx, dir, cfg, &fakeTPMProtector{owner: []byte("new.")}, word); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if n := len(healings(t, v, audit.Failed)); n != 1 || len(v.store.Root().Protectors) != 64 {
		t.Errorf("%d records of the failure, want 1; %d protectors, want 64", n, len(v.store.Root().Protectors))
	}
}

// TestTooManyProtectors: the error of an allowed operation that failed is recorded.
func TestTooManyProtectors(t *testing.T) {
	ctx, dir, word := t.Context(), t.TempDir(), passphrase(t, "p")
	protectors := []driver.Protector{word}
	for n := range 63 {
		protectors = append(protectors, &fakeTPMProtector{owner: []byte(fmt.Sprintf("%03d.", n))})
	}
	v, err := Create(ctx, dir, testConfig(), protectors...)
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	c := v.As(DefaultOwner)
	if _, err := c.AddProtector(ctx, word, &fakeTPMProtector{owner: []byte("new.")}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if r := lastRecord(t, c, OpAddProtector); r.Result != audit.Failed || r.Error != "TOO_LARGE" {
		t.Errorf("the record of AddProtector is %+v", r)
	}
}

// TestCloseWaitsForClose: a second Close does not return before the vault is closed.
func TestCloseWaitsForClose(t *testing.T) {
	x, v := newCrashFixture(t, 1)
	second := make(chan error, 1)
	x.engine.Fault(func(keystore.Batch) error {
		go func() { second <- v.Close() }()
		select {
		case err := <-second:
			t.Errorf("the second Close returned %v while the first writes its record", err)
			second <- err
		case <-time.After(50 * time.Millisecond):
		}
		return nil
	})
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}
