package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/vault/internal/inputtext"
)

// denyOne denies one operation on one key, and allows everything else.
type denyOne struct {
	op  Operation
	key string
}

func (a *denyOne) Authorize(_ context.Context, r Request) (Decision, error) {
	return Decision{Allow: r.Operation != a.op || r.Key != a.key}, nil
}

// TestAliasForms: an alias may have the form of a path, and names the CMK everywhere.
func TestAliasForms(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	for _, alias := range []string{"team/app:db_1", "a/", "a//b", "arn:aws:kms:x", strings.Repeat("a/", maxAlias/2)} {
		must(t, c.SetAlias(ctx, k.ID, alias))
		if got, err := c.DescribeKey(ctx, alias); err != nil || got.ID != k.ID || got.Alias != alias {
			t.Errorf("DescribeKey(%q): %q %v", alias, got.Alias, err)
		}
		listed := 0
		for _, err := range c.ListKeys(ctx, KeyFilter{Alias: alias[:2]}) {
			must(t, err)
			listed++
		}
		if listed != 1 {
			t.Errorf("ListKeys with the beginning of %q: %d keys", alias, listed)
		}
		must(t, c.DeleteAlias(ctx, alias))
	}
	for _, alias := range []string{"", "/a", ":a", "a b", "a.b", "ä", strings.Repeat("a", maxAlias+1), strings.ToUpper(k.ID)} {
		if err := c.SetAlias(ctx, k.ID, alias); !errors.Is(err, ErrInvalid) {
			t.Errorf("SetAlias(%q): %v", alias, err)
		}
	}
	must(t, c.Check(ctx))
}

// TestAliasPendingDeletion checks that the alias of a CMK that is to be destroyed can be moved
// and removed before that, and that the CMK gets none.
func TestAliasPendingDeletion(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	dying := func(alias string) Key {
		k := mustKey(t, c, KeyOptions{Alias: alias})
		if err := c.DisableKeys(ctx, k.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ScheduleKeyDeletion(ctx, k.ID, MinDeletionDays); err != nil {
			t.Fatal(err)
		}
		return k
	}
	moved, removed := dying("moved"), dying("removed")
	successor := mustKey(t, c, KeyOptions{})
	if err := c.MoveAlias(ctx, "moved", successor.ID); err != nil {
		t.Errorf("MoveAlias from a CMK that is PendingDeletion: %v", err)
	}
	if err := c.DeleteAlias(ctx, removed.ID); err != nil {
		t.Errorf("DeleteAlias of a CMK that is PendingDeletion: %v", err)
	}
	mustKey(t, c, KeyOptions{Alias: "removed"})
	for _, k := range []Key{moved, removed} {
		got, err := c.DescribeKey(ctx, k.ID)
		if err != nil || got.Alias != "" || got.State != PendingDeletion {
			t.Errorf("the former CMK is %s with alias %q, %v; want PendingDeletion without an alias", got.State, got.Alias, err)
		}
		if err := c.SetAlias(ctx, k.ID, "other"); !errors.Is(err, ErrKeyState) {
			t.Errorf("SetAlias of a CMK that is PendingDeletion: %v, want ErrKeyState", err)
		}
		if err := c.MoveAlias(ctx, "removed", k.ID); !errors.Is(err, ErrKeyState) {
			t.Errorf("MoveAlias to a CMK that is PendingDeletion: %v, want ErrKeyState", err)
		}
	}
}

// TestMoveAlias moves an alias between keys in every state that allows it, and checks that
// the records and permissions are those of SetAlias and DeleteAlias.
func TestMoveAlias(t *testing.T) {
	denied := &denyOne{}
	cfg := testConfig()
	cfg.Authorizer = denied
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	old := mustKey(t, c, KeyOptions{Alias: "payments", Spec: ECCP256})
	replacement := mustKey(t, c, KeyOptions{Alias: "payments-2", Spec: ECCP256})
	holds := func(want string) {
		t.Helper()
		k, err := c.DescribeKey(ctx, "payments")
		if err != nil || k.ID != want || k.Alias != "payments" {
			t.Fatalf("DescribeKey of the alias is %s with alias %q, %v, want %s", k.ID, k.Alias, err, want)
		}
	}
	for _, d := range []struct {
		op  Operation
		key string
	}{{OpSetAlias, replacement.ID}, {OpDeleteAlias, old.ID}} {
		*denied = denyOne{d.op, d.key}
		before := v.store.LogState().Size
		if err := c.MoveAlias(ctx, "payments", replacement.ID); !errors.Is(err, ErrDenied) {
			t.Errorf("MoveAlias without %s on %s: %v, want ErrDenied", d.op, d.key, err)
		}
		if n := v.store.LogState().Size - before; n != 1 {
			t.Errorf("a denied MoveAlias left %d records, want 1", n)
		}
		holds(old.ID)
	}
	*denied = denyOne{}
	before := v.store.LogState().Size
	if err := c.MoveAlias(ctx, "payments", replacement.ID); err != nil {
		t.Fatalf("MoveAlias: %v", err)
	}
	if n := v.store.LogState().Size - before; n != 2 {
		t.Errorf("MoveAlias left %d records, want 2: DeleteAlias and SetAlias", n)
	}
	holds(replacement.ID)
	if k, err := c.DescribeKey(ctx, old.ID); err != nil || k.Alias != "" {
		t.Errorf("the former key has alias %q, %v, want none", k.Alias, err)
	}
	if k, err := c.DescribeKey(ctx, "payments-2"); err != nil || k.ID != replacement.ID {
		t.Errorf("the alias that the key had before names %s, %v, want %s", k.ID, err, replacement.ID)
	}
	for name, row := range map[string]struct {
		alias, key string
		want       error
	}{
		"to the key that has it": {"payments", replacement.ID, nil},
		"of an unknown alias":    {"none", replacement.ID, ErrNotFound},
		"to an unknown key":      {"payments", "none", ErrNotFound},
		"of no alias":            {"", replacement.ID, ErrInvalid},
	} {
		if err := c.MoveAlias(ctx, row.alias, row.key); !errors.Is(err, row.want) || row.want == nil && err != nil {
			t.Errorf("MoveAlias %s: %v, want %v", name, err, row.want)
		}
		holds(replacement.ID)
	}
}

// TestMoveAliasNeverMissing moves an alias back and forth while readers resolve it: the
// alias names one of the two keys at any time.
func TestMoveAliasNeverMissing(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	keys := []Key{mustKey(t, c, KeyOptions{Alias: "live"}), mustKey(t, c, KeyOptions{})}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := c.DescribeKey(ctx, "live"); err != nil {
					t.Errorf("DescribeKey while the alias moves: %v", err)
					return
				}
			}
		})
	}
	for n := range 50 {
		if err := c.MoveAlias(ctx, "live", keys[(n+1)%2].ID); err != nil {
			t.Errorf("MoveAlias %d: %v", n, err)
		}
	}
	close(done)
	readers.Wait()
}

// mustHave fails the test unless the CMK has these aliases, in this order, and each names it.
func mustHave(t *testing.T, c Client, id string, want ...string) {
	t.Helper()
	k, err := c.DescribeKey(t.Context(), id)
	if got := k.Aliases(); err != nil || !slices.Equal(got, want) {
		t.Errorf("the key has the aliases %q, %v, want %q", got, err, want)
	}
	for _, alias := range want {
		if k, err := c.DescribeKey(t.Context(), alias); err != nil || k.ID != id {
			t.Errorf("alias %s names key %q, %v, want %s", alias, k.ID, err, id)
		}
	}
}

// mustBeFree fails the test if an alias names a CMK.
func mustBeFree(t *testing.T, c Client, aliases ...string) {
	t.Helper()
	for _, alias := range aliases {
		if k, err := c.DescribeKey(t.Context(), alias); !errors.Is(err, ErrNotFound) {
			t.Errorf("alias %s names key %q, %v, want ErrNotFound", alias, k.ID, err)
		}
	}
}

// TestSeveralAliases: each call changes the alias that it is about and leaves the others, and all
// of them are in the vault after a restart.
func TestSeveralAliases(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k, other := mustKey(t, c, KeyOptions{Alias: "a"}), mustKey(t, c, KeyOptions{})
	must(t, c.AddAlias(ctx, other.ID, "x"))
	mustHave(t, c, other.ID, "x")
	must(t, errors.Join(c.AddAlias(ctx, "a", "b"), c.AddAlias(ctx, "b", "c")))
	mustHave(t, c, k.ID, "a", "b", "c")
	for name, err := range map[string]error{
		"AddAlias, of this key":     c.AddAlias(ctx, k.ID, "b"),
		"AddAlias, the first":       c.AddAlias(ctx, k.ID, "a"),
		"AddAlias, of another key":  c.AddAlias(ctx, k.ID, "x"),
		"SetAlias, of another key":  c.SetAlias(ctx, other.ID, "b"),
		"CreateKey, not the first":  second(c.CreateKey(ctx, KeyOptions{Alias: "c"})),
		"AddAlias, to a second one": c.AddAlias(ctx, other.ID, "c"),
	} {
		if !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v, want ErrExists", name, err)
		}
	}
	if err := c.AddAlias(ctx, k.ID, "-"); !errors.Is(err, ErrInvalid) {
		t.Errorf("AddAlias of a malformed alias: %v, want ErrInvalid", err)
	}
	if err := c.DeleteAlias(ctx, k.ID); !errors.Is(err, ErrInvalid) {
		t.Errorf("DeleteAlias by the id of a key with three: %v, want ErrInvalid", err)
	}
	mustHave(t, c, k.ID, "a", "b", "c")
	must(t, c.SetAlias(ctx, k.ID, "d"))
	mustHave(t, c, k.ID, "d", "b", "c")
	must(t, c.SetAlias(ctx, k.ID, "c"))
	mustHave(t, c, k.ID, "c", "b")
	mustBeFree(t, c, "a", "d")
	must(t, errors.Join(c.AddAlias(ctx, k.ID, "a"), c.MoveAlias(ctx, "b", other.ID), c.MoveAlias(ctx, "b", "x")))
	mustHave(t, c, k.ID, "c", "a")
	mustHave(t, c, other.ID, "b", "x")
	must(t, errors.Join(c.DeleteAlias(ctx, "x"), c.AddAlias(ctx, k.ID, "y"), c.DeleteAlias(ctx, "c")))
	mustHave(t, c, k.ID, "a", "y")
	mustHave(t, c, other.ID, "b")
	for prefix, want := range map[string]int{"a": 1, "y": 1, "": 2, "c": 0} {
		n := 0
		for _, err := range c.ListKeys(ctx, KeyFilter{Alias: prefix}) {
			must(t, err)
			n++
		}
		if n != want {
			t.Errorf("ListKeys with an alias that begins with %q: %d keys, want %d", prefix, n, want)
		}
	}
	closeChecked(t, v)
	again := reopened(t, dir)
	defer closeChecked(t, again)
	mustHave(t, again.As(DefaultOwner), k.ID, "a", "y")
}

// TestAliasLimits: a CMK has at most 50 aliases, which share the space of its text, and an alias
// beyond the limit changes nothing.
func TestAliasLimits(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k, full := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{Alias: "full", Tags: fullTags("x")})
	var all []string
	for i := range maxAliases {
		all = append(all, fmt.Sprintf("%d-%s", i, strings.Repeat("x", maxAlias-4)))
		must(t, c.AddAlias(ctx, k.ID, all[i]))
	}
	must(t, c.SetDescription(ctx, k.ID, strings.Repeat("x", inputtext.MaxDescription)))
	mustHave(t, c, k.ID, all...)
	for name, err := range map[string]error{"AddAlias": c.AddAlias(ctx, k.ID, "more"), "MoveAlias": c.MoveAlias(ctx, "full", k.ID)} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s beyond %d aliases: %v, want ErrTooLarge", name, maxAliases, err)
		}
	}
	must(t, errors.Join(c.SetAlias(ctx, k.ID, "set"), c.DeleteAlias(ctx, all[1]), c.AddAlias(ctx, k.ID, "more")))
	n := 0
	for ; n < maxAliases; n++ {
		if err := c.AddAlias(ctx, full.ID, fmt.Sprintf("f%d-%s", n, strings.Repeat("x", maxAlias-5))); err != nil {
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("AddAlias beside full tags: %v, want ErrTooLarge", err)
			}
			break
		}
	}
	if n == maxAliases-1 {
		t.Error("full tags left room for all aliases")
	}
	if err := c.TagKey(ctx, full.ID, map[string]string{"00" + strings.Repeat("x", inputtext.MaxTagKey-2): strings.Repeat("\x01", inputtext.MaxTagValue)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("TagKey beside the aliases: %v, want ErrTooLarge", err)
	}
	must(t, errors.Join(c.DisableKeys(ctx, full.ID), c.EnableKeys(ctx, full.ID), c.DeleteAlias(ctx, "full"), c.Check(ctx)))
}

// TestAddAliasOnce gives one alias to several CMKs at the same time, and several aliases to one
// CMK: each alias is given once, and none is replaced.
func TestAddAliasOnce(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	const callers = 8
	keys := []Key{mustKey(t, c, KeyOptions{Alias: "first"})}
	for range callers - 1 {
		keys = append(keys, mustKey(t, c, KeyOptions{}))
	}
	var all sync.WaitGroup
	var contested, own [callers]error
	for i := range callers {
		all.Go(func() { contested[i] = c.AddAlias(ctx, keys[i].ID, "contested") })
		all.Go(func() { own[i] = c.AddAlias(ctx, keys[0].ID, fmt.Sprint("own-", i)) })
	}
	all.Wait()
	given := 0
	for i := range callers {
		switch err := contested[i]; {
		case err == nil:
			given++
			if k, err := c.DescribeKey(ctx, "contested"); err != nil || k.ID != keys[i].ID {
				t.Errorf("the alias names %s, %v, want %s", k.ID, err, keys[i].ID)
			}
		case !errors.Is(err, ErrExists):
			t.Errorf("AddAlias of an alias that is taken: %v, want ErrExists", err)
		}
		if k, err := c.DescribeKey(ctx, fmt.Sprint("own-", i)); own[i] != nil || err != nil || k.ID != keys[0].ID || k.Alias != "first" {
			t.Errorf("own-%d: %v; it names %s with the first alias %q, %v", i, own[i], k.ID, k.Alias, err)
		}
	}
	if given != 1 {
		t.Errorf("%d keys got the alias, want 1", given)
	}
	must(t, c.Check(ctx))
}

// TestDeleteAliasOfAnother: DeleteAlias of an alias that is moved between the decision and the
// commit is decided on the CMK that has it then, and removes no other alias.
func TestDeleteAliasOfAnother(t *testing.T) {
	var move func()
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		if r.Operation == OpDeleteAlias && r.Principal == "other" && move != nil {
			then := move
			move = nil
			then()
		}
		return Decision{Allow: true}, nil
	})
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	one, two := mustKey(t, c, KeyOptions{Alias: "one"}), mustKey(t, c, KeyOptions{Alias: "two"})
	must(t, c.AddAlias(ctx, one.ID, "moving"))
	move = func() { must(t, c.MoveAlias(ctx, "moving", two.ID)) }
	must(t, v.As("other").DeleteAlias(ctx, "moving"))
	mustHave(t, c, one.ID, "one")
	mustHave(t, c, two.ID, "two")
	mustBeFree(t, c, "moving")
	if r := lastRecord(t, c, OpDeleteAlias); r.Key != two.ID || r.Detail["former"] != "moving" {
		t.Errorf("the record is %+v", r)
	}
}

// TestAuthorizerSeesAliases: a decision has all aliases, and is made again if one was added or
// removed before the commit.
func TestAuthorizerSeesAliases(t *testing.T) {
	var between func()
	var seen [][]string
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		if r.Principal == "other" {
			seen = append(seen, r.Aliases())
			if r.OtherAliases != nil {
				r.OtherAliases[0] = "changed by the authorizer"
			}
			if between != nil {
				then := between
				between = nil
				then()
			}
		}
		return Decision{Allow: !slices.Contains(r.Aliases(), "closed"), Rule: "aliases"}, nil
	})
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Alias: "a"})
	must(t, c.AddAlias(ctx, k.ID, "b"))
	must(t, second(v.As("other").Encrypt(ctx, "b", nil, nil)))
	mustHave(t, c, k.ID, "a", "b")
	between = func() { must(t, c.AddAlias(ctx, k.ID, "closed")) }
	if _, err := v.As("other").Encrypt(ctx, "b", nil, nil); !errors.Is(err, ErrDenied) {
		t.Errorf("Encrypt after an alias that denies it: %v, want ErrDenied", err)
	}
	if want := [][]string{{"a", "b"}, {"a", "b"}, {"a", "b", "closed"}}; !slices.EqualFunc(seen[:min(3, len(seen))], want, slices.Equal) {
		t.Errorf("the Authorizer saw %q, want %q", seen, want)
	}
}

// TestDestroyFreesAliases: the aliases of a CMK are free once it is Destroyed, and its record
// names them.
func TestDestroyFreesAliases(t *testing.T) {
	v, c, _, _, fake, _ := newDeletionVault(t)
	defer closeChecked(t, v)
	ctx := t.Context()
	k := mustKey(t, c, KeyOptions{Alias: "a"})
	must(t, errors.Join(c.AddAlias(ctx, k.ID, "b"), c.AddAlias(ctx, k.ID, "c")))
	mustSchedule(t, c, k.ID, 7)
	must(t, c.DeleteAlias(ctx, "b"))
	mustHave(t, c, k.ID, "a", "c")
	fake.Advance(7 * day)
	if got := runDeletion(t, c, k.ID, Destroyed); got.Aliases() != nil {
		t.Errorf("the destroyed key has the aliases %q", got.Aliases())
	}
	mustBeFree(t, c, "a", "b", "c")
	for _, alias := range []string{"a", "b", "c"} {
		mustKey(t, c, KeyOptions{Alias: alias})
	}
	if r := lastRecord(t, c, OpDestroyKey); r.Phase != audit.Outcome || r.Detail["alias"] != "a, c" {
		t.Errorf("the record is %+v", r)
	}
}
