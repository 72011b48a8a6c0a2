package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
	"strongroom.example/vault/internal/inputtext"
)

// newCountedVault makes a vault and counts the batches that its store commits.
func newCountedVault(t *testing.T, cfg Config) (*Vault, *atomic.Int64) {
	t.Helper()
	engine, commits := storetest.NewMemory(), new(atomic.Int64)
	cfg.openEngine = func(dir string) (keystore.Engine, error) { return engine.Open(dir) }
	v, err := Create(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeChecked(t, v) })
	engine.Fault(func(keystore.Batch) error { commits.Add(1); return nil })
	return v, commits
}

// TestBatchIsOneCommit: each method for several CMKs commits once, with a record of each CMK.
func TestBatchIsOneCommit(t *testing.T) {
	v, commits := newCountedVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	var ids []string
	for range maxKeys {
		ids = append(ids, mustKey(t, c, KeyOptions{Spec: HMAC256, Usage: GenerateVerifyMac}).ID)
	}
	for _, row := range []struct {
		op   Operation
		want KeyState
		call func() error
	}{
		{OpDisableKey, Disabled, func() error { return c.DisableKeys(ctx, ids...) }},
		{OpEnableKey, Enabled, func() error { return c.EnableKeys(ctx, ids...) }},
		{OpDescribeKey, Enabled, func() error { return second(c.DescribeKeys(ctx, ids...)) }},
	} {
		before, size := commits.Load(), v.store.LogState().Size
		if err := row.call(); err != nil {
			t.Fatalf("%s: %v", row.op, err)
		}
		if n := commits.Load() - before; n != 1 {
			t.Errorf("%s of %d CMKs took %d commits, want 1", row.op, len(ids), n)
		}
		if n := v.store.LogState().Size - size; n != maxKeys {
			t.Errorf("%s of %d CMKs left %d records", row.op, len(ids), n)
		}
		for _, id := range ids {
			if k, err := c.DescribeKey(ctx, id); err != nil || k.State != row.want {
				t.Errorf("%s: a CMK is %s, error %v, want %s", row.op, k.State, err, row.want)
			}
		}
	}
	if err := c.EnableKeys(ctx, append(ids, ids[0])...); !errors.Is(err, ErrInvalid) {
		t.Errorf("EnableKeys of 101 CMKs: %v, want ErrInvalid", err)
	}
}

// TestBatchReportsEachKey: CMKs that fail have an error each and a record each, and do not
// keep the others from being changed.
func TestBatchReportsEachKey(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		return Decision{Allow: r.Principal == DefaultOwner || r.Tags["team"] == string(r.Principal)}, nil
	})
	v, _ := newTestVault(t, cfg)
	owner, red, ctx := v.As(DefaultOwner), v.As("red"), t.Context()
	mine := map[string]string{"team": "red"}
	a := mustKey(t, owner, KeyOptions{Alias: "a", Tags: mine})
	archived := mustKey(t, owner, KeyOptions{Tags: mine})
	theirs := mustKey(t, owner, KeyOptions{})
	last := mustKey(t, owner, KeyOptions{Tags: mine})
	if err := errors.Join(owner.ArchiveKey(ctx, archived.ID), owner.DisableKeys(ctx, "a", last.ID)); err != nil {
		t.Fatal(err)
	}
	err := red.EnableKeys(ctx, "a", archived.ID, theirs.ID, "absent", last.ID, "a")
	var b *BatchError
	if !errors.As(err, &b) || len(b.Errs) != 6 || b.Op != OpEnableKey {
		t.Fatalf("EnableKeys: %v, want a *BatchError of 6", err)
	}
	for i, want := range []error{nil, ErrKeyState, ErrDenied, ErrDenied, nil, nil} {
		if !errors.Is(b.Errs[i], want) {
			t.Errorf("EnableKeys of key %d: %v, want %v", i, b.Errs[i], want)
		}
	}
	if !errors.Is(err, ErrKeyState) || !errors.Is(err, ErrDenied) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "3 of 6") {
		t.Errorf("the error of the batch is %v", err)
	}
	got := map[string]int{}
	for r, err := range owner.AuditRecords(ctx, audit.Filter{Principal: "red"}) {
		if err != nil {
			t.Fatal(err)
		}
		got[r.Key+" "+string(r.Result)+" "+r.Error]++
	}
	want := map[string]int{a.ID + " OK ": 2, last.ID + " OK ": 1, archived.ID + " REFUSED KEY_STATE": 1, theirs.ID + " REFUSED DENIED": 1, " REFUSED DENIED": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
	described, err := owner.DescribeKeys(ctx, "a", "absent", last.ID)
	if !errors.As(err, &b) || !errors.Is(b.Errs[1], ErrNotFound) || len(described) != 3 || described[0].State != Enabled || described[1].ID != "" || described[2].ID != last.ID {
		t.Errorf("DescribeKeys: %+v, %v", described, err)
	}
}

// TestBatchOfLargeKeys: CMKs whose records do not fit into one commit are changed in several.
func TestBatchOfLargeKeys(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	tags := map[string]string{}
	for i := range inputtext.MaxTags {
		tags[fmt.Sprint(strings.Repeat("k", 100), i)] = strings.Repeat("v", inputtext.MaxTagValue)
	}
	var ids []string
	for range maxKeys {
		ids = append(ids, mustKey(t, c, KeyOptions{Origin: OriginExternal, Tags: tags}).ID)
	}
	for _, id := range ids {
		forceState(t, v, Key{ID: id}, Enabled)
	}
	if err := c.DisableKeys(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
	for k, err := range c.ListKeys(t.Context(), KeyFilter{}) {
		if err != nil || k.State != Disabled {
			t.Errorf("a CMK is %s, error %v, want Disabled", k.State, err)
		}
	}
}

// TestBatchAmongChanges: changes of the CMKs during a batch do not make it fail.
func TestBatchAmongChanges(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	var ids []string
	for range 10 {
		ids = append(ids, mustKey(t, c, KeyOptions{}).ID)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				if err := c.TagKey(ctx, ids[(w+i)%10], map[string]string{"n": fmt.Sprint(w, i)}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				if err := errors.Join(c.DisableKeys(ctx, ids...), c.EnableKeys(ctx, ids...)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestBatchAboveLimitAmongChanges: a change of the CMK while the Limiter refuses does not let a batch
// pass.
func TestBatchAboveLimitAmongChanges(t *testing.T) {
	cfg := testConfig()
	var change func() error
	cfg.Limiter = limiterFunc(func(r Request) time.Duration {
		if r.Operation != OpDisableKey {
			return 0
		}
		changed := make(chan error)
		go func() { changed <- change() }()
		if err := <-changed; err != nil {
			t.Error(err)
		}
		return time.Minute
	})
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	change = func() error { return second(c.RotateKey(ctx, k.ID)) }
	if err := c.DisableKeys(ctx, k.ID); !errors.Is(err, ErrThrottled) {
		t.Errorf("DisableKeys above the limit: %v, want ErrThrottled", err)
	}
	if got, err := c.DescribeKey(ctx, k.ID); err != nil || got.State != Enabled {
		t.Errorf("the CMK is %s, %v, want Enabled", got.State, err)
	}
}

// TestBatchWithoutCommit: the error of a store that does not begin the commit is that of the batch, and
// the decision is made once.
func TestBatchWithoutCommit(t *testing.T) {
	cfg := testConfig()
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		if r.Operation == OpEnableKey {
			asked++
			cancel()
		}
		return allowEveryone(r)
	})
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	if err := c.EnableKeys(ctx, k.ID); !errors.Is(err, context.Canceled) || asked != 1 {
		t.Errorf("EnableKeys, which ends during its decision: %v after %d decisions, want Canceled after 1", err, asked)
	}
	if r := lastRecord(t, c, OpEnableKey); r.Result != audit.Failed || r.Error != errorName(context.Canceled) {
		t.Errorf("its record is %+v", r)
	}
}
