package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
)

func mustNarrow(t testing.TB, c Client, g Grant) (Client, Grant) {
	t.Helper()
	narrowed, made, err := c.Narrow(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return narrowed, made
}

// TestNarrow: each field of a grant limits the client, before and after a restart.
func TestNarrow(t *testing.T) {
	cfg := testConfig()
	now := clock.NewFake(time.Now())
	cfg.Clock = now
	v, dir := newTestVault(t, cfg)
	ctx, owner := t.Context(), v.As(DefaultOwner)
	a, b := mustKey(t, owner, KeyOptions{Alias: "a"}), mustKey(t, owner, KeyOptions{})
	ec := EncryptionContext{"tenant": "7", "more": "x"}
	narrowed, g := mustNarrow(t, owner, Grant{
		Keys: []string{"a"}, Operations: []Operation{OpEncrypt, OpDecrypt}, Context: EncryptionContext{"tenant": "7"}, Uses: 4, Until: now.Now().Add(time.Hour),
	})
	if g.Keys[0] != a.ID || len(g.ID) != 32 || g.Principal != DefaultOwner {
		t.Errorf("the grant is %+v", g)
	}
	use := func(c Client, key string, ec EncryptionContext) error { return second(c.Encrypt(ctx, key, nil, ec)) }
	for name, err := range map[string]error{
		"another key":       use(narrowed, b.ID, ec),
		"another context":   use(narrowed, a.ID, EncryptionContext{"tenant": "8"}),
		"no context":        use(narrowed, a.ID, nil),
		"another operation": narrowed.DisableKeys(ctx, a.ID),
		"the whole vault":   second(narrowed.GenerateRandom(ctx, 1)),
		"an absent key":     use(narrowed, "absent", ec),
	} {
		if !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v, want ErrDenied", name, err)
		}
	}
	if r := lastRecord(t, owner, OpGenerateRandom); r.Decision != "DENY" || r.Rule != "not by grant "+g.ID {
		t.Errorf("the record of a denial by the grant is %+v", r)
	}
	for range 2 {
		if err := use(narrowed, "a", ec); err != nil {
			t.Fatal(err)
		}
	}
	if r := lastRecord(t, owner, OpEncrypt); r.Rule != "owner by grant "+g.ID || r.Principal != string(DefaultOwner) {
		t.Errorf("the record of a use of the grant is %+v", r)
	}
	closeChecked(t, v)
	v, err := Open(ctx, dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	owner = v.As(DefaultOwner)
	if narrowed, err = owner.WithGrant(ctx, g.ID); err != nil {
		t.Fatal(err)
	}
	if all, err := owner.ListGrants(ctx); err != nil || len(all) != 1 || all[0].Used != 2 {
		t.Errorf("ListGrants: %+v, %v, want one grant used twice", all, err)
	}
	if err := use(narrowed, a.ID, ec); err != nil {
		t.Fatal(err)
	}
	now.Advance(time.Hour)
	if err := use(narrowed, a.ID, ec); !errors.Is(err, ErrDenied) {
		t.Errorf("after its time: %v, want ErrDenied", err)
	}
	if _, err := owner.WithGrant(ctx, g.ID); !errors.Is(err, ErrNotFound) && err != nil {
		t.Errorf("WithGrant after its time: %v", err)
	}
	if all, err := owner.ListGrants(ctx); err != nil || len(all) != 0 {
		t.Errorf("ListGrants after its time: %+v, %v, want none", all, err)
	}
}

// TestGrantCount: 64 goroutines share a counted grant, through clients that were narrowed
// further. Exactly Uses operations succeed.
func TestGrantCount(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	owner := v.As(DefaultOwner)
	k := mustKey(t, owner, KeyOptions{})
	const uses = 100
	narrowed, g := mustNarrow(t, owner, Grant{Uses: uses})
	child, _ := mustNarrow(t, narrowed, Grant{Operations: []Operation{OpEncrypt}})
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		c := narrowed
		if i%2 == 0 {
			c = child
		}
		all.Go(func() {
			for range 3 {
				switch _, err := c.Encrypt(t.Context(), k.ID, nil, nil); {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, ErrDenied):
					t.Errorf("Encrypt: %v, want ErrDenied", err)
				}
			}
		})
	}
	all.Wait()
	if n := done.Load(); n != uses {
		t.Errorf("%d operations succeeded, want %d", n, uses)
	}
	if n := usesOnRecord(t, owner, g.ID); n > uses {
		t.Errorf("%d uses on record, want at most %d", n, uses)
	}
}

// usesOnRecord counts the successful uses of a grant itself.
func usesOnRecord(t *testing.T, c Client, id string) (n int) {
	t.Helper()
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(OpEncrypt), Result: audit.OK}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(r.Rule, " by grant "+id) {
			n++
		}
	}
	return n
}

// TestRevokeRacesUse: no use of a grant, or of one below it, is on record after the record of
// its revocation.
func TestRevokeRacesUse(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	ctx, owner := t.Context(), v.As(DefaultOwner)
	k := mustKey(t, owner, KeyOptions{})
	for range 5 {
		narrowed, g := mustNarrow(t, owner, Grant{})
		child, below := mustNarrow(t, narrowed, Grant{Uses: 1 << 40})
		var users sync.WaitGroup
		var used atomic.Int64
		for i := range 16 {
			c := []Client{narrowed, child}[i%2]
			users.Go(func() {
				for {
					if _, err := c.Encrypt(ctx, k.ID, nil, nil); err != nil {
						if !errors.Is(err, ErrDenied) {
							t.Errorf("Encrypt: %v, want ErrDenied", err)
						}
						return
					}
					used.Add(1)
				}
			})
		}
		for used.Load() < 50 {
			if _, err := owner.DescribeKey(ctx, k.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := owner.RevokeGrant(ctx, g.ID); err != nil {
			t.Fatal(err)
		}
		revoked := v.store.LogState().Size
		users.Wait()
		for r, err := range owner.AuditRecords(ctx, audit.Filter{Operation: string(OpEncrypt), Result: audit.OK}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Seq >= revoked && (strings.Contains(r.Rule, g.ID) || strings.Contains(r.Rule, below.ID)) {
				t.Fatalf("record %d is a use of the grant, which was revoked before record %d", r.Seq, revoked)
			}
		}
		if all, err := owner.ListGrants(ctx); err != nil || len(all) != 0 {
			t.Errorf("ListGrants: %+v, %v, want none", all, err)
		}
	}
}

// TestNarrowedNeverExceedsParent: whatever the grants are, a narrowed client is allowed an
// operation only if its parent is, and ends with it.
func TestNarrowedNeverExceedsParent(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	ctx, owner := t.Context(), v.As(DefaultOwner)
	keys := []string{mustKey(t, owner, KeyOptions{}).ID, mustKey(t, owner, KeyOptions{}).ID}
	ops := []Operation{OpEncrypt, OpDescribeKey, OpGenerateRandom}
	contexts := []EncryptionContext{nil, {"a": "1"}, {"a": "1", "b": "2"}}
	r := rand.New(rand.NewPCG(3, 4))
	random := func() (g Grant) {
		if r.IntN(2) == 0 {
			g.Keys = keys[r.IntN(2):][:1]
		}
		if r.IntN(2) == 0 {
			g.Operations = ops[r.IntN(3):]
		}
		if r.IntN(3) == 0 {
			g.Context = contexts[r.IntN(3)]
		}
		return g
	}
	allowed := map[bool]int{}
	for range 40 {
		parent, top := mustNarrow(t, owner, random())
		child, _ := mustNarrow(t, parent, random())
		ask := func(c Client) (out []bool) {
			for _, op := range ops {
				for _, key := range keys {
					for _, ec := range contexts {
						if op == OpGenerateRandom {
							key = ""
						}
						out = append(out, c.DryRun(ctx, op, key, ec) == nil)
					}
				}
			}
			return out
		}
		may, childMay := ask(parent), ask(child)
		for i := range may {
			allowed[childMay[i]]++
			if childMay[i] && !may[i] {
				t.Errorf("case %d: the narrowed client may, its parent may not", i)
			}
		}
		if err := owner.RevokeGrant(ctx, top.ID); err != nil {
			t.Fatal(err)
		}
		if after := ask(child); slices.Contains(after, true) {
			t.Error("a narrowed client may act after its parent was revoked")
		}
	}
	if allowed[true] < 20 || allowed[false] < 20 {
		t.Errorf("the cases are one-sided: %v", allowed)
	}
}

// grantCrashDir is set in the child process of TestGrantCountSurvivesKill: the vault's
// directory.
const grantCrashDir = "STRONGROOM_GRANT_CRASH_DIR"

// TestGrantCountSurvivesKill kills a process several times while it uses a counted grant. All
// processes together get no more results than the grant allows.
func TestGrantCountSurvivesKill(t *testing.T) {
	if dir := os.Getenv(grantCrashDir); dir != "" {
		grantCrashChild(t, dir)
		return
	}
	const uses, kills = 3000, 6
	v, dir := newTestVault(t, testConfig())
	owner := v.As(DefaultOwner)
	mustKey(t, owner, KeyOptions{Alias: "k"})
	_, g := mustNarrow(t, owner, Grant{Uses: uses})
	results := 0
	for n := range kills + 1 {
		closeChecked(t, v)
		results += killGrantChild(t, dir, g.ID, n < kills)
		var err error
		if v, err = Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse")); err != nil {
			t.Fatal(err)
		}
	}
	defer closeChecked(t, v)
	recorded := usesOnRecord(t, v.As(DefaultOwner), g.ID)
	if results > recorded || recorded != uses {
		t.Errorf("%d results and %d recorded uses of a grant for %d", results, recorded, uses)
	}
}

// killGrantChild runs the child and returns the number of its results. The child kills itself
// after some of them, before the grant is used up, or ends when it is.
func killGrantChild(t *testing.T, dir, id string, kill bool) (results int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestGrantCountSurvivesKill$", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), grantCrashDir+"="+dir, grantCrashDir+"_ID="+id, grantCrashDir+"_KILL="+strconv.FormatBool(kill))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() != "used" {
			continue
		}
		results++
	}
	if err := cmd.Wait(); err != nil && !kill {
		t.Errorf("the child failed: %v", err)
	} else if err == nil && kill {
		t.Errorf("the child ended after %d results, before it was killed", results)
	}
	return results
}

// grantCrashChild uses the grant from 64 goroutines until it is used up or the process is to be
// killed, and prints a line for each result.
func grantCrashChild(t *testing.T, dir string) {
	v, err := Open(context.Background(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c, err := v.As(DefaultOwner).WithGrant(context.Background(), os.Getenv(grantCrashDir+"_ID"))
	if errors.Is(err, ErrNotFound) {
		return // the killed processes used it up
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var used atomic.Int32
	for range 64 {
		all.Go(func() {
			for {
				if _, err := c.Encrypt(context.Background(), "k", nil, nil); err != nil {
					if !errors.Is(err, ErrDenied) {
						t.Error(err)
					}
					return
				}
				fmt.Println("used")
				if used.Add(1) == 8 && os.Getenv(grantCrashDir+"_KILL") == "true" {
					_ = self.Kill()
				}
			}
		})
	}
	all.Wait()
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

// TestDryRun: a dry run returns the error of the operation, and is recorded, but uses nothing.
func TestDryRun(t *testing.T) {
	cfg, may := testConfig(), mayOnly{OpEncrypt: true}
	cfg.Authorizer = may
	v, _ := newTestVault(t, cfg)
	ctx, owner, bob := t.Context(), v.As(DefaultOwner), v.As("bob")
	k, mac := mustKey(t, owner, KeyOptions{}), mustKey(t, owner, KeyOptions{Spec: HMAC256, Usage: GenerateVerifyMac})
	off := mustKey(t, owner, KeyOptions{})
	if err := owner.DisableKeys(ctx, off.ID); err != nil {
		t.Fatal(err)
	}
	counted, g := mustNarrow(t, owner, Grant{Uses: 1})
	for _, c := range []struct {
		name string
		by   Client
		op   Operation
		key  string
		want error
	}{
		{"allowed", bob, OpEncrypt, k.ID, nil},
		{"denied", bob, OpDecrypt, k.ID, ErrDenied},
		{"denied, absent", bob, OpDecrypt, "absent", ErrDenied},
		{"absent", bob, OpEncrypt, "absent", ErrNotFound},
		{"usage", bob, OpEncrypt, mac.ID, ErrUsage},
		{"state", bob, OpEncrypt, off.ID, ErrKeyState},
		{"unknown operation", owner, "Encypt", k.ID, ErrInvalid},
		{"operation of the vault", owner, OpDestroyKey, k.ID, ErrInvalid},
		{"whole vault", owner, OpGenerateRandom, "", nil},
		{"by a grant", counted, OpEncrypt, k.ID, nil},
	} {
		err := c.by.DryRun(ctx, c.op, c.key, nil)
		if c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		r := lastRecord(t, owner, OpDryRun)
		if c.want != ErrInvalid && (r.Principal != string(c.by.principal) || r.Detail["operation"] != string(c.op) || (r.Result == audit.OK) != (c.want == nil)) {
			t.Errorf("%s: the record is %+v", c.name, r)
		}
	}
	if all, err := owner.ListGrants(ctx); err != nil || len(all) != 1 || all[0].Used != 0 || all[0].ID != g.ID {
		t.Errorf("after a dry run the grants are %+v, %v", all, err)
	}
	if _, err := counted.Encrypt(ctx, k.ID, nil, nil); err != nil {
		t.Error(err)
	}
	if err := counted.DryRun(ctx, OpEncrypt, k.ID, nil); !errors.Is(err, ErrDenied) {
		t.Errorf("a dry run with a grant that is used up: %v, want ErrDenied", err)
	}
}

// TestGrantArguments: a faulty grant is rejected, and operations that work with a device
// count once.
func TestGrantArguments(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	ctx, owner := t.Context(), v.As(DefaultOwner)
	for _, c := range []struct {
		g    Grant
		want error
	}{
		{Grant{Operations: []Operation{"Encypt"}}, ErrInvalid},
		{Grant{Keys: make([]string, 101)}, ErrInvalid},
		{Grant{Context: EncryptionContext{"": "x"}}, ErrInvalid},
		{Grant{Keys: []string{"absent"}}, ErrNotFound},
	} {
		if _, _, err := owner.Narrow(ctx, c.g); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.g, err, c.want)
		}
	}
	once, g := mustNarrow(t, owner, Grant{Uses: 1})
	if _, err := v.As("bob").WithGrant(ctx, g.ID); !errors.Is(err, ErrDenied) {
		t.Errorf("WithGrant by another principal: %v, want ErrDenied", err)
	}
	k := mustKey(t, once, KeyOptions{})
	if _, err := once.RotateKey(ctx, k.ID); !errors.Is(err, ErrDenied) {
		t.Errorf("a second operation: %v, want ErrDenied", err)
	}
	if err := owner.RevokeGrant(ctx, g.ID); err != nil {
		t.Errorf("revoking a grant that is used up: %v", err)
	}
	if err := owner.RevokeGrant(ctx, g.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoking it again: %v, want ErrNotFound", err)
	}
	if left := slices.Collect(maps.Keys(v.grants.all)); v.store.Version(grantPath(g.ID)) != 0 || v.store.Version(grantUsesPath(g.ID)) != 0 {
		t.Errorf("a revoked grant is still stored; the cache has %v", left)
	}
}
