package vault

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// meanwhile calls f once, from another goroutine, when the Authorizer is asked for op the next
// time, and waits for it.
type meanwhile struct {
	op Operation
	f  func()
}

func (m *meanwhile) Authorize(_ context.Context, r Request) (Decision, error) {
	if f := m.f; f != nil && r.Operation == m.op {
		m.f = nil
		done := make(chan struct{})
		go func() { f(); close(done) }()
		<-done
	}
	return Decision{Allow: true, Rule: "test"}, nil
}

// askedPolicies is denyingPolicies that calls asked, in another goroutine, when they decide on op,
// and waits for it.
type askedPolicies struct {
	denyingPolicies
	op    Operation
	asked func()
}

func (p *askedPolicies) Compile(document []byte) (Policies, error) {
	return &askedPolicies{denyingPolicies{Operation(document)}, p.op, p.asked}, nil
}

func (p *askedPolicies) Authorize(ctx context.Context, r Request) (Decision, error) {
	if r.Operation == p.op {
		done := make(chan struct{})
		go func() { p.asked(); close(done) }()
		<-done
	}
	return p.denyingPolicies.Authorize(ctx, r)
}

// policyRace is a call of op on a CMK during which the CMK and the policies change.
type policyRace struct {
	op     Operation
	call   func(Client, string) error
	change func(c Client, key string, n int) error
}

// policyRaces has a race for each way in which a decision is repeated.
func policyRaces(ctx context.Context) map[string]policyRace {
	encrypt := func(c Client, key string) error { return second(c.Encrypt(ctx, key, nil, nil)) }
	tag := func(c Client, key string, n int) error {
		return c.TagKey(ctx, key, map[string]string{"n": strconv.Itoa(n)})
	}
	rotate := func(c Client, key string, _ int) error { return second(c.RotateKey(ctx, key)) }
	return map[string]policyRace{
		"the commit is repeated":    {OpEncrypt, encrypt, tag},
		"the operation is repeated": {OpEncrypt, encrypt, rotate},
		"the batch is repeated":     {OpDisableKey, func(c Client, key string) error { return c.DisableKeys(ctx, key) }, tag},
	}
}

// TestReplacedPoliciesDoNotCount: an operation whose decision was repeated until changes of tags
// no longer matter is not done under policies that were replaced since. It is decided again at
// most a limited number of times.
func TestReplacedPoliciesDoNotCount(t *testing.T) {
	for name, race := range policyRaces(t.Context()) {
		for kind, want := range map[string]error{"denied at the last repetition": ErrDenied, "replaced without end": ErrThrottled} {
			t.Run(name+", "+kind, func(t *testing.T) {
				cfg, policies := testConfig(), &askedPolicies{op: race.op}
				var c Client
				var key string
				asked := 0
				policies.asked = func() {
					var err error
					switch asked++; {
					case asked <= maxReauthorize:
						err = race.change(c, key, asked)
					case want == ErrThrottled:
						err = second(c.PutPolicy(t.Context(), nil))
					case asked == maxReauthorize+1:
						err = second(c.PutPolicy(t.Context(), []byte(race.op)))
					}
					if err != nil {
						t.Error(err)
					}
				}
				cfg.Policies = policies
				v, _ := newTestVault(t, cfg)
				c = v.As(DefaultOwner)
				key = mustKey(t, c, KeyOptions{}).ID
				must(t, second(c.PutPolicy(t.Context(), nil)))
				err := race.call(c, key)
				if !errors.Is(err, want) || asked > maxAttempts*(maxReauthorize+1) {
					t.Errorf("%v after %d decisions, want %v", err, asked, want)
				}
				if r := lastRecord(t, c, race.op); r.Result == audit.OK {
					t.Errorf("recorded under replaced policies: %+v", r)
				}
			})
		}
	}
}

// TestReEncryptDataKeyKeepsChanges: a change of a named data key while it is encrypted again is
// not undone.
func TestReEncryptDataKeyKeepsChanges(t *testing.T) {
	asked := &meanwhile{op: OpReEncryptTo}
	cfg := testConfig()
	cfg.Authorizer = asked
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{})
	id := mustDataKey(t, c, key.ID, "before").ID
	for what, change := range map[string]func() error{
		"DisableDataKeys":       func() error { return v.As("other").DisableDataKeys(ctx, id) },
		"SetDataKeyName":        func() error { return v.As("other").SetDataKeyName(ctx, id, "after") },
		"SetDataKeyDescription": func() error { return v.As("other").SetDataKeyDescription(ctx, id, "new") },
	} {
		var want NamedDataKey
		asked.f = func() {
			if err := change(); err != nil {
				t.Error(err)
			}
			k, err := v.dataKey(ctx, id)
			if err != nil {
				t.Error(err)
				return
			}
			want = k.NamedDataKey
		}
		must(t, second(c.ReEncryptDataKey(ctx, id)))
		got := describeOne(t, c, id)
		if got.State != want.State || got.Name != want.Name || got.Description != want.Description {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	if got := describeOne(t, c, "after"); got.ID != id {
		t.Errorf("the name leads to %s, want %s", got.ID, id)
	}
}

// TestMoveAliasUsesApprovalUp: an approval of DeleteAlias allows one MoveAlias.
func TestMoveAliasUsesApprovalUp(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = oneApprovalFor(OpDeleteAlias)
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	one, two := mustKey(t, c, KeyOptions{Alias: "live"}), mustKey(t, c, KeyOptions{})
	must(t, v.As("bob").Approve(ctx, Approval{Operation: OpDeleteAlias, Key: one.ID}))
	must(t, c.MoveAlias(ctx, "live", two.ID))
	must(t, c.SetAlias(ctx, one.ID, "free"))
	must(t, v.As("bob").Approve(ctx, Approval{Operation: OpDeleteAlias, Key: two.ID}))
	must(t, c.MoveAlias(ctx, "live", one.ID))
	if err := c.MoveAlias(ctx, "live", two.ID); !errors.Is(err, ErrApproval) {
		t.Errorf("a second MoveAlias with one approval: %v, want ErrApproval", err)
	}
}

// TestMoveKeyNeedsOneApproval: one approval is for all versions of the CMK.
func TestMoveKeyNeedsOneApproval(t *testing.T) {
	cfg := testConfig()
	cfg.Drivers = map[string]driver.Driver{"memory": drivertest.NewMemory()}
	cfg.Authorizer = oneApprovalFor(OpMoveKey)
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	for range 2 {
		must(t, second(c.RotateKey(ctx, k.ID)))
	}
	approve := func() {
		t.Helper()
		must(t, v.As("bob").Approve(ctx, Approval{Operation: OpMoveKey, Key: k.ID, Subject: "memory"}))
	}
	approve()
	receipts, err := c.MoveKey(ctx, k.ID, "memory")
	if err != nil || len(receipts) != 3 {
		t.Fatalf("MoveKey: %d receipts, %v, want 3", len(receipts), err)
	}
	if _, err := c.MoveKey(ctx, k.ID, "memory"); !errors.Is(err, ErrApproval) {
		t.Errorf("MoveKey with a used approval: %v, want ErrApproval", err)
	}
}

// threeVersions returns a CMK of three versions with an alias.
func threeVersions(t *testing.T, c Client, alias string) Key {
	t.Helper()
	k := mustKey(t, c, KeyOptions{Alias: alias})
	for range 2 {
		must(t, second(c.RotateKey(t.Context(), k.ID)))
	}
	return k
}

// duringMove calls MoveKey for a CMK, and meanwhile while the device imports the second
// version.
func duringMove(t *testing.T, device *drivertest.Faulty, c Client, key string, meanwhile func() error) (receipts [][]byte, err error) {
	t.Helper()
	block := make(chan struct{})
	device.Add(drivertest.Fault{Method: drivertest.MethodImportKey, Nth: 2, Block: block})
	defer device.Clear()
	var moved sync.WaitGroup
	moved.Go(func() { receipts, err = c.MoveKey(t.Context(), key, "hsm") })
	poll.Until(t, "the device is asked", func() bool { return device.Waiting() > 0 })
	changed := meanwhile()
	close(block)
	moved.Wait()
	must(t, changed)
	return receipts, err
}

// TestMoveKeyCountsOnce: a move of several versions is one use of a grant, and counts once for
// the Limiter. It ends with the grant.
func TestMoveKeyCountsOnce(t *testing.T) {
	device := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() { device.Close() })
	cfg := testConfig()
	cfg.Drivers = map[string]driver.Driver{"hsm": device}
	var limited atomic.Int32
	cfg.Limiter = limiterFunc(func(r Request) time.Duration {
		if r.Operation == OpMoveKey {
			limited.Add(1)
		}
		return 0
	})
	v, _ := newTestVault(t, cfg)
	owner, ctx := v.As(DefaultOwner), t.Context()
	k := threeVersions(t, owner, "")
	narrowed, _ := mustNarrow(t, owner, Grant{Uses: 2})
	for call, want := range []int{3, 0} { // the second call finds all versions there
		receipts, err := narrowed.MoveKey(ctx, k.ID, "hsm")
		if err != nil || len(receipts) != want {
			t.Errorf("call %d of MoveKey by a grant of 2 uses: %d receipts, %v, want %d", call+1, len(receipts), err, want)
		}
		if n := limited.Load(); n != int32(call+1) {
			t.Errorf("the Limiter was asked %d times for %d calls", n, call+1)
		}
	}
	if _, err := narrowed.MoveKey(ctx, k.ID, "hsm"); !errors.Is(err, ErrDenied) {
		t.Errorf("MoveKey after the last use of the grant: %v, want ErrDenied", err)
	}
	for name, end := range map[string]func(Grant) error{
		"revoked": func(g Grant) error { return owner.RevokeGrant(ctx, g.ID) },
		"used up": func(Grant) error { return nil },
	} {
		narrowed, g := mustNarrow(t, owner, Grant{Uses: 1})
		receipts, err := duringMove(t, device, narrowed, threeVersions(t, owner, "").ID, func() error { return end(g) })
		if name == "used up" && (err != nil || len(receipts) != 3) || name == "revoked" && (!errors.Is(err, ErrDenied) || len(receipts) != 1) {
			t.Errorf("MoveKey by a grant of one use, %s while version 2 is moved: %d receipts, %v", name, len(receipts), err)
		}
	}
}

// TestMoveKeyKeepsToItsKey: a move does not go on with another CMK that gets the alias meanwhile,
// for which there are no approvals.
func TestMoveKeyKeepsToItsKey(t *testing.T) {
	device := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() { device.Close() })
	cfg := testConfig()
	cfg.Drivers = map[string]driver.Driver{"hsm": device}
	cfg.Authorizer = oneApprovalFor(OpMoveKey)
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k, other := threeVersions(t, c, "live"), threeVersions(t, c, "")
	must(t, v.As("bob").Approve(ctx, Approval{Operation: OpMoveKey, Key: k.ID, Subject: "hsm"}))
	receipts, err := duringMove(t, device, c, "live", func() error { return c.MoveAlias(ctx, "live", other.ID) })
	if err != nil || len(receipts) != 3 {
		t.Errorf("MoveKey: %d receipts, %v, want 3", len(receipts), err)
	}
	for id, want := range map[string]string{k.ID: "hsm", other.ID: softDriver} {
		versions, err := c.ListKeyVersions(ctx, id)
		must(t, err)
		for _, ver := range versions {
			if ver.Driver != want {
				t.Errorf("version %d of key %s is in driver %s, want %s", ver.Number, id, ver.Driver, want)
			}
		}
	}
}

// readEngine calls f once after the next read, before it returns what it read.
type readEngine struct {
	keystore.Engine
	f atomic.Pointer[func()]
}

func (e *readEngine) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, err := e.Engine.Get(ctx, key)
	if f := e.f.Swap(nil); f != nil {
		(*f)()
	}
	return value, err
}

// TestNameAtTheTimeOfUse: an operation on a name does not act on a CMK or data key that lost the
// name while the operation looked for it.
func TestNameAtTheTimeOfUse(t *testing.T) {
	cfg := testConfig()
	reads := &readEngine{Engine: storetest.NewMemory()}
	cfg.openEngine = func(string) (keystore.Engine, error) { return reads, nil }
	v, err := Create(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, passphrase(t, "p"))
	must(t, err)
	defer closeChecked(t, v)
	c, ctx := v.As(DefaultOwner), t.Context()
	one, two := mustKey(t, c, KeyOptions{Alias: "live"}), mustKey(t, c, KeyOptions{})
	first, next := mustDataKey(t, c, one.ID, "live"), mustDataKey(t, c, one.ID, "next")
	during := func(change func() error) {
		f := func() {
			if err := change(); err != nil {
				t.Error(err)
			}
		}
		reads.f.Store(&f)
	}
	during(func() error { return c.MoveAlias(ctx, "live", two.ID) })
	must(t, c.DisableKeys(ctx, "live"))
	for id, want := range map[string]KeyState{one.ID: Enabled, two.ID: Disabled} {
		if k, err := c.DescribeKey(ctx, id); err != nil || k.State != want {
			t.Errorf("CMK %q is %s, %v, want %s", k.Alias, k.State, err, want)
		}
	}
	during(func() error {
		return errors.Join(c.SetDataKeyName(ctx, first.ID, "former"), c.SetDataKeyName(ctx, next.ID, "live"))
	})
	must(t, c.DisableDataKeys(ctx, "live"))
	for id, want := range map[string]KeyState{first.ID: Enabled, next.ID: Disabled} {
		if k := describeOne(t, c, id); k.State != want {
			t.Errorf("data key %q is %s, want %s", k.Name, k.State, want)
		}
	}
}

// slowDryRuns is a Limiter that allows each operation, but one dry run only.
type slowDryRuns struct{ n atomic.Int64 }

func (l *slowDryRuns) Limit(r Request) time.Duration {
	if r.Operation == OpDryRun && l.n.Add(1) > 1 {
		return time.Minute
	}
	return 0
}

// TestDryRunsAreLimited: a dry run writes a record, therefore the Limiter counts it.
func TestDryRunsAreLimited(t *testing.T) {
	cfg := testConfig()
	limiter := &slowDryRuns{}
	cfg.Limiter = limiter
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Alias: "k"})
	must(t, c.DryRun(ctx, OpEncrypt, "k", nil))
	before := v.store.LogState().Size
	for range 1000 {
		if err := c.DryRun(ctx, OpEncrypt, k.ID, nil); !errors.Is(err, ErrThrottled) {
			t.Fatalf("a dry run above the limit: %v, want ErrThrottled", err)
		}
	}
	if n := v.store.LogState().Size - before; n > 200 {
		t.Errorf("1000 dry runs above the limit left %d records", n)
	}
}
