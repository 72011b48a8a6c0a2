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

// repeatInBackground runs n goroutines that call change repeatedly until stop is called.
func repeatInBackground(t *testing.T, n int, change func(i, round int) error) (stop func()) {
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

// tagInBackground runs n goroutines that tag a CMK until stop is called.
func tagInBackground(t *testing.T, c Client, key string, n int) (stop func()) {
	t.Helper()
	return repeatInBackground(t, n, func(i, round int) error {
		return c.TagKey(context.Background(), key, map[string]string{fmt.Sprint(i): fmt.Sprint(round)})
	})
}

// TestConcurrentChanges: concurrent changes of one CMK all succeed, and none is lost.
func TestConcurrentChanges(t *testing.T) {
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
		t.Errorf("DescribeKey after concurrent changes: %+v, error %v", got, err)
	}
}

// TestUseWhileDescribed: changes of description and tags do not delay the users of the CMK.
func TestUseWhileDescribed(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := repeatInBackground(t, 4, func(i, round int) error {
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

// TestDisableWhileTagged: a principal who may only tag a CMK cannot keep others from
// disabling it, whatever the Authorizer's decisions depend on.
func TestDisableWhileTagged(t *testing.T) {
	t.Parallel()
	for _, taggers := range []int{1, 4, 16} {
		cfg := testConfig()
		cfg.Authorizer = authorizerFunc(allowEveryone)
		v, _ := newTestVault(t, cfg)
		c, ctx := v.As("operator"), t.Context()
		k := mustKey(t, c, KeyOptions{})
		stop := tagInBackground(t, v.As("tagger"), k.ID, taggers)
		for range 50 {
			if err := errors.Join(c.DisableKeys(ctx, k.ID), c.EnableKeys(ctx, k.ID)); err != nil {
				t.Errorf("DisableKeys and EnableKeys beside %d taggers: %v", taggers, err)
			}
			if _, err := c.RotateKey(ctx, k.ID); err != nil {
				t.Errorf("RotateKey beside %d taggers: %v", taggers, err)
			}
		}
		stop()
	}
}

// denyAtRound denies Sign for CMKs of one round, and counts its calls.
type denyAtRound struct {
	deny  string
	asked int
}

func (a *denyAtRound) Authorize(_ context.Context, r Request) (Decision, error) {
	if r.Operation == OpSign {
		a.asked++
	}
	return Decision{Allow: r.Operation != OpSign || r.Tags["round"] != a.deny}, nil
}

// TestDecisionRepeats: if the tags change while a CMK is used, the Authorizer decides again
// with the new tags, and the CMK is not used again.
func TestDecisionRepeats(t *testing.T) {
	for deny, want := range map[string]error{"other": nil, "2": ErrDenied} {
		a, cfg := &denyAtRound{deny: deny}, testConfig()
		cfg.Authorizer = a
		v, _ := newTestVault(t, cfg)
		c, ctx := v.As("p"), t.Context()
		k := mustKey(t, c, KeyOptions{Spec: ECCP256, Tags: map[string]string{"round": "1"}})
		used := 0
		_, err := useKey(ctx, c, request{op: OpSign, key: k.ID}, func(context.Context, *decision) (struct{}, error) {
			used++
			return struct{}{}, c.TagKey(ctx, k.ID, map[string]string{"round": "2"})
		}, nil)
		if !errors.Is(err, want) || used != 1 || a.asked < 2 {
			t.Errorf("%v, want %v; used %d times, decided %d times", err, want, used, a.asked)
		}
	}
}

// records returns the number of records of an operation.
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

// TestConflictIsRecorded: an operation that is given up because its CMK changes too fast has
// used the key, and is recorded.
func TestConflictIsRecorded(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	used := 0
	var discarded []int
	_, err := useKey(ctx, c, request{op: OpEncrypt, key: k.ID}, func(context.Context, *decision) (int, error) {
		used++
		return used, second(c.RotateKey(ctx, k.ID))
	}, func(n int) { discarded = append(discarded, n) })
	if len(discarded) != used {
		t.Errorf("%d of %d results that were not released are discarded", len(discarded), used)
	}
	if !errors.Is(err, ErrThrottled) || used != maxAttempts {
		t.Errorf("Encrypt of a CMK that changes all the time: %v after %d uses, want ErrThrottled", err, used)
	}
	if r := lastRecord(t, c, OpEncrypt); r.Result != audit.Failed || r.Error != "THROTTLED" || r.Key != k.ID {
		t.Errorf("the record of the Encrypt is %+v", r)
	}
}

// TestDeniedCallerOfBusyKey: a denied caller gets the same error for a CMK that changes all
// the time, and so cannot learn from it that the CMK exists.
func TestDeniedCallerOfBusyKey(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	defer tagInBackground(t, c, k.ID, 8)()
	for i := range 200 {
		stranger := v.As(Principal(fmt.Sprint("stranger-", i)))
		if _, err := stranger.DescribeKey(t.Context(), k.ID); !errors.Is(err, ErrDenied) {
			t.Fatalf("DescribeKey by a principal without permissions: %v, want ErrDenied", err)
		}
	}
}
