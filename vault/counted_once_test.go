package vault

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/poll"
)

// fickle is an Authorizer that demands one approval of op, and denies the second request for op
// after each reset, so that the vault repeats the operation. It allows everything else.
type fickle struct {
	op    Operation
	asked atomic.Int32
}

func (f *fickle) Authorize(_ context.Context, r Request) (Decision, error) {
	d := Decision{Allow: true, Rule: "test"}
	if r.Operation == f.op {
		d.Approvals, d.AnySubject = 1, true
		d.Allow = f.asked.Add(1) != 2
	}
	return d, nil
}

// repeated is an operation that is repeated after its intent.
type repeated struct {
	op Operation
	// prepare returns the key of do; nil means a new symmetric CMK.
	prepare func(*testing.T, Client) string
	do      func(context.Context, Client, string) error
}

func repeatedOperations() []repeated {
	external := func(t *testing.T, c Client) string { return mustKey(t, c, KeyOptions{Origin: OriginExternal}).ID }
	var material ImportMaterial
	return []repeated{
		{OpCreateKey, func(*testing.T, Client) string { return "" }, func(ctx context.Context, c Client, _ string) error {
			return second(c.CreateKey(ctx, KeyOptions{}))
		}},
		{OpRotateKey, nil, func(ctx context.Context, c Client, key string) error { return second(c.RotateKey(ctx, key)) }},
		{OpMoveKey, nil, func(ctx context.Context, c Client, key string) error { return second(c.MoveKey(ctx, key, "hsm")) }},
		{OpMoveKey, func(t *testing.T, c Client) string { return threeVersions(t, c, "").ID }, func(ctx context.Context, c Client, key string) error {
			return second(c.MoveKey(ctx, key, "hsm"))
		}},
		{OpParametersForImport, external, func(ctx context.Context, c Client, key string) error {
			return second(c.ParametersForImport(ctx, key, ImportRequest{}))
		}},
		{OpImportKeyMaterial, func(t *testing.T, c Client) string {
			k := mustKey(t, c, KeyOptions{Origin: OriginExternal})
			material = newImportFixture(t, c, k, ownKey(7)).material()
			return k.ID
		}, func(ctx context.Context, c Client, key string) error {
			return second(c.ImportKeyMaterial(ctx, key, material))
		}},
	}
}

// TestRepeatedOperationCountsOnce: an operation that is repeated after its intent is one use of a
// grant, uses approvals up once, and counts once for the Limiter.
func TestRepeatedOperationCountsOnce(t *testing.T) {
	for _, row := range repeatedOperations() {
		cfg, asked := testConfig(), &fickle{}
		cfg.Drivers = map[string]driver.Driver{"hsm": drivertest.NewMemory()}
		cfg.Authorizer = asked
		limited := 0
		cfg.Limiter = limiterFunc(func(r Request) time.Duration {
			if r.Operation == asked.op {
				limited++
			}
			return 0
		})
		v, _ := newTestVault(t, cfg)
		owner, ctx, key := v.As(DefaultOwner), t.Context(), ""
		if row.prepare != nil {
			key = row.prepare(t, owner)
		} else {
			key = mustKey(t, owner, KeyOptions{}).ID
		}
		narrowed, _ := mustNarrow(t, owner, Grant{Uses: 1})
		must(t, v.As("bob").Approve(ctx, Approval{Operation: row.op, Key: key}))
		asked.op = row.op
		if err := row.do(ctx, narrowed, key); err != nil {
			t.Errorf("%s by a grant of one use and one approval: %v", row.op, err)
		}
		if n := asked.asked.Load(); n < 4 {
			t.Errorf("%s was not repeated: the Authorizer was asked %d times", row.op, n)
		}
		if limited != 1 {
			t.Errorf("%s counted %d times for the Limiter", row.op, limited)
		}
		if err := row.do(ctx, narrowed, key); !errors.Is(err, ErrDenied) {
			t.Errorf("%s after the last use of the grant: %v, want ErrDenied", row.op, err)
		}
		if err := row.do(ctx, owner, key); !errors.Is(err, ErrApproval) {
			t.Errorf("%s by an approval that is used up: %v, want ErrApproval", row.op, err)
		}
	}
}

// duringRotation calls RotateKey for a CMK in the device, and meanwhile while the device makes
// the new version.
func duringRotation(t *testing.T, device *drivertest.Faulty, c Client, key string, meanwhile func() error) (err error) {
	t.Helper()
	block := make(chan struct{})
	device.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Nth: 1, Block: block})
	defer device.Clear()
	var rotated sync.WaitGroup
	rotated.Go(func() { err = second(c.RotateKey(t.Context(), key)) })
	poll.Until(t, "the device is asked", func() bool { return device.Waiting() > 0 })
	changed := meanwhile()
	close(block)
	rotated.Wait()
	must(t, changed)
	return err
}

// TestOvertakenRotationCountsOnce: a rotation that another one overtakes is one use of a grant.
// It ends if the grant is revoked.
func TestOvertakenRotationCountsOnce(t *testing.T) {
	v, device, _, _ := newMoveVault(t)
	owner, ctx := v.As(DefaultOwner), t.Context()
	for _, revoked := range []bool{false, true} {
		k := mustKey(t, owner, KeyOptions{Driver: "hsm"})
		narrowed, g := mustNarrow(t, owner, Grant{Uses: 1})
		err := duringRotation(t, device, narrowed, k.ID, func() error {
			if revoked {
				must(t, owner.RevokeGrant(ctx, g.ID))
			}
			return second(owner.RotateKey(ctx, k.ID))
		})
		want := uint32(3)
		if revoked {
			want = 2
		}
		if revoked != errors.Is(err, ErrDenied) || !revoked && err != nil {
			t.Errorf("RotateKey by a grant, revoked meanwhile: %v: %v", revoked, err)
		}
		if got, err := owner.DescribeKey(ctx, k.ID); err != nil || got.Version != want {
			t.Errorf("the CMK has version %d, %v, want %d", got.Version, err, want)
		}
	}
}

// TestRepeatedOperationNeedsApprovalsOfItsKey: an operation that is repeated on another CMK, which
// got the alias meanwhile, needs approvals of that CMK.
func TestRepeatedOperationNeedsApprovalsOfItsKey(t *testing.T) {
	device := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() { device.Close() })
	cfg := testConfig()
	cfg.Drivers = map[string]driver.Driver{"hsm": device}
	cfg.Authorizer = oneApprovalFor(OpRotateKey)
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k, other := mustKey(t, c, KeyOptions{Alias: "live", Driver: "hsm"}), mustKey(t, c, KeyOptions{Driver: "hsm"})
	must(t, v.As("bob").Approve(ctx, Approval{Operation: OpRotateKey, Key: k.ID}))
	err := duringRotation(t, device, c, "live", func() error { return c.MoveAlias(ctx, "live", other.ID) })
	if !errors.Is(err, ErrApproval) {
		t.Errorf("RotateKey of a CMK without approvals: %v, want ErrApproval", err)
	}
	for _, id := range []string{k.ID, other.ID} {
		if got, err := c.DescribeKey(ctx, id); err != nil || got.Version != 1 {
			t.Errorf("key %s has version %d, %v, want 1", id, got.Version, err)
		}
	}
}

// TestRepeatedOperationNeedsMoreApprovals: the approvals that an operation used up satisfy a later
// decision only if that demands no more of them.
func TestRepeatedOperationNeedsMoreApprovals(t *testing.T) {
	first := Decision{Allow: true, Rule: "test", Approvals: 1, Within: time.Hour, AnySubject: true}
	for name, row := range map[string]struct {
		stricter func(*Decision)
		want     error
	}{
		"as before":             {func(*Decision) {}, nil},
		"within a longer time":  {func(d *Decision) { d.Within *= 2 }, nil},
		"two approvals":         {func(d *Decision) { d.Approvals = 2 }, ErrApproval},
		"within a shorter time": {func(d *Decision) { d.Within /= 2 }, ErrApproval},
		"for its subject":       {func(d *Decision) { d.AnySubject = false }, ErrApproval},
	} {
		asked := 0
		cfg := testConfig()
		cfg.Drivers = map[string]driver.Driver{"hsm": drivertest.NewMemory()}
		cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
			if r.Operation != OpMoveKey {
				return Decision{Allow: true, Rule: "test"}, nil
			}
			d := first
			if asked++; asked == 2 {
				d.Allow = false
			} else if asked > 2 {
				row.stricter(&d)
			}
			return d, nil
		})
		v, _ := newTestVault(t, cfg)
		c, ctx := v.As(DefaultOwner), t.Context()
		k := mustKey(t, c, KeyOptions{})
		must(t, v.As("bob").Approve(ctx, Approval{Operation: OpMoveKey, Key: k.ID}))
		if err := second(c.MoveKey(ctx, k.ID, "hsm")); !errors.Is(err, row.want) || asked < 3 {
			t.Errorf("MoveKey, whose third of %d decisions demands approvals %s: %v, want %v", asked, name, err, row.want)
		}
	}
}

// TestApprovalsDemandedAfterIntent: a decision after the intent that demands approvals, which the first
// one did not, makes the vault repeat the operation, which needs them and uses them up.
func TestApprovalsDemandedAfterIntent(t *testing.T) {
	for _, approved := range []bool{false, true} {
		asked := 0
		cfg := testConfig()
		cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
			d := Decision{Allow: true, Rule: "test"}
			if r.Operation == OpRotateKey {
				if asked++; asked > 1 {
					d.Approvals = 1
				}
			}
			return d, nil
		})
		v, _ := newTestVault(t, cfg)
		c, ctx := v.As(DefaultOwner), t.Context()
		k, want := mustKey(t, c, KeyOptions{}), uint32(1)
		if approved {
			must(t, v.As("bob").Approve(ctx, Approval{Operation: OpRotateKey, Key: k.ID}))
			want = 2
		}
		if err := second(c.RotateKey(ctx, k.ID)); approved != (err == nil) || !approved && !errors.Is(err, ErrApproval) {
			t.Errorf("RotateKey, approved: %v: %v", approved, err)
		}
		if got, err := c.DescribeKey(ctx, k.ID); err != nil || got.Version != want {
			t.Errorf("RotateKey, approved: %v, led to version %d, %v, want %d", approved, got.Version, err, want)
		}
		if list, err := c.ListApprovals(ctx); err != nil || len(list) != 0 {
			t.Errorf("RotateKey, approved: %v, left the approvals %+v, %v", approved, list, err)
		}
	}
}

// TestRepeatedReEncryptCountsOnce: a repeated ReEncrypt counts once for the Limiter, under both of
// its operations.
func TestRepeatedReEncryptCountsOnce(t *testing.T) {
	cfg, asked := testConfig(), &fickle{}
	limited := map[Operation]int{}
	cfg.Authorizer = asked
	cfg.Limiter = limiterFunc(func(r Request) time.Duration { limited[r.Operation]++; return 0 })
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	id := mustDataKey(t, c, k.ID, "d").ID
	ct, err := c.Encrypt(ctx, k.ID, nil, nil)
	must(t, err)
	asked.op = OpReEncryptTo
	for name, do := range map[string]func() error{
		"ReEncrypt":        func() error { return second(c.ReEncrypt(ctx, ct, "", nil, nil)) },
		"ReEncryptDataKey": func() error { return second(c.ReEncryptDataKey(ctx, id)) },
	} {
		must(t, v.As("bob").Approve(ctx, Approval{Operation: OpReEncryptTo, Key: k.ID}))
		asked.asked.Store(0)
		clear(limited)
		must(t, do())
		if n := asked.asked.Load(); n != 4 || limited[OpReEncryptFrom] != 1 || limited[OpReEncryptTo] != 1 {
			t.Errorf("%s, for which the Authorizer was asked %d times, counted %v for the Limiter, want 4 times and 1 each", name, n, limited)
		}
	}
}
