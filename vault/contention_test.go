package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom.example/audit"
)

// churn has n goroutines change something of a CMK, each again and again, until stop.
func churn(t *testing.T, n int, change func(i, round int) error) (stop func()) {
	t.Helper()
	var done atomic.Bool
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for round := 0; !done.Load(); round++ {
				if err := change(i, round); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() { done.Store(true); wg.Wait() }
}

// tagging has n goroutines tag a CMK until stop.
func tagging(t *testing.T, c Client, key string, n int) (stop func()) {
	t.Helper()
	return churn(t, n, func(i, round int) error {
		return c.TagKey(context.Background(), key, map[string]string{fmt.Sprint(i): fmt.Sprint(round)})
	})
}

// TestChangesAtTheSameTime: changes of one CMK at the same time all go through, and none
// is lost.
func TestChangesAtTheSameTime(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := c.TagKey(ctx, k.ID, map[string]string{fmt.Sprint(i): "x"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() {
		if err := errors.Join(c.SetDescription(ctx, k.ID, "d"), c.SetAlias(ctx, k.ID, "a")); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	got, err := c.DescribeKey(ctx, "a")
	if err != nil || len(got.Tags) != n || got.Description != "d" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestUseWhileDescribed: whoever describes and tags a CMK holds up nobody who uses it.
func TestUseWhileDescribed(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := churn(t, 4, func(i, round int) error {
		return errors.Join(c.SetDescription(context.Background(), k.ID, fmt.Sprint(i, round)),
			c.TagKey(context.Background(), k.ID, map[string]string{"round": fmt.Sprint(round)}))
	})
	defer stop()
	const uses = 300
	for range uses {
		if _, err := c.Decrypt(ctx, ct, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := records(t, c, OpDecrypt); n != uses {
		t.Errorf("%d records of %d uses", n, uses)
	}
}

// TestDisableWhileTagged: who may only tag keeps nobody from disabling, whatever the
// Authorizer goes by.
func TestDisableWhileTagged(t *testing.T) {
	for _, taggers := range []int{1, 4, 16} {
		cfg := testConfig()
		cfg.Authorizer = everyone{}
		v, _ := newTestVault(t, cfg)
		c, ctx := v.As("operator"), t.Context()
		k := mustKey(t, c, KeyOptions{})
		stop := tagging(t, v.As("tagger"), k.ID, taggers)
		for range 50 {
			if err := errors.Join(c.DisableKeys(ctx, k.ID), c.EnableKeys(ctx, k.ID)); err != nil {
				t.Errorf("%d taggers: %v", taggers, err)
			}
			if _, err := c.RotateKey(ctx, k.ID); err != nil {
				t.Errorf("%d taggers: %v", taggers, err)
			}
		}
		stop()
	}
}

// byRound denies Sign for CMKs of one round, and counts how often it is asked.
type byRound struct {
	deny  string
	asked int
}

func (a *byRound) Authorize(_ context.Context, r Request) (Decision, error) {
	if r.Operation == OpSign {
		a.asked++
	}
	return Decision{Allow: r.Operation != OpSign || r.Tags["round"] != a.deny}, nil
}

// TestDecidedAgain: when the tags change while a CMK is used, it is decided again by the
// new ones, and not used again.
func TestDecidedAgain(t *testing.T) {
	for deny, want := range map[string]error{"other": nil, "2": ErrDenied} {
		a, cfg := &byRound{deny: deny}, testConfig()
		cfg.Authorizer = a
		v, _ := newTestVault(t, cfg)
		c, ctx := v.As("p"), t.Context()
		k := mustKey(t, c, KeyOptions{Spec: ECCP256, Tags: map[string]string{"round": "1"}})
		used := 0
		err := c.onKey(ctx, request{op: OpSign, key: k.ID}, func(context.Context, *target, *entry) error {
			used++
			return c.TagKey(ctx, k.ID, map[string]string{"round": "2"})
		})
		if !errors.Is(err, want) || used != 1 || a.asked < 2 {
			t.Errorf("%v, want %v; used %d times, decided %d times", err, want, used, a.asked)
		}
	}
}

// records counts the records of an operation.
func records(t *testing.T, c Client, op Operation) (n int) {
	t.Helper()
	for _, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(op)}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestGivenUpIsRecorded: an operation that is given up since its CMK changes too fast
// has used the key, and leaves a record.
func TestGivenUpIsRecorded(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	used := 0
	err := c.onKey(ctx, request{op: OpEncrypt, key: k.ID}, func(context.Context, *target, *entry) error {
		used++
		return second(c.RotateKey(ctx, k.ID))
	})
	if !errors.Is(err, ErrThrottled) || used != staleTries {
		t.Errorf("%v after %d uses", err, used)
	}
	if r := lastRecord(t, c, OpEncrypt); r.Result != audit.Failed || r.Error != "THROTTLED" || r.Key != k.ID {
		t.Errorf("on record: %+v", r)
	}
}

// TestStrangerOfABusyKey: who is denied is told so of a CMK that changes all the time as
// well, and does not learn by that that it is there.
func TestStrangerOfABusyKey(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	defer tagging(t, c, k.ID, 8)()
	for i := range 200 {
		stranger := v.As(Principal(fmt.Sprint("stranger-", i)))
		if _, err := stranger.DescribeKey(t.Context(), k.ID); !errors.Is(err, ErrDenied) {
			t.Fatalf("a stranger is told: %v", err)
		}
	}
}
