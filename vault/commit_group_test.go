package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
)

// goroutines returns how many goroutines have all the texts in their stacks.
func goroutines(texts ...string) (n int) {
	stacks := make([]byte, 1<<20)
	for one := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !bytes.Contains(one, []byte(text)) }) {
			n++
		}
	}
	return n
}

// holdCommitter makes an operation, first if it is set, wait inside the committer. released
// waits until n further operations wait for the committer, and calls then, which may be nil. The
// committer then commits all in one group.
func holdCommitter(t *testing.T, v *Vault, first func(*keystore.Tx)) (released func(n int, then func())) {
	t.Helper()
	const queued, taken = "keystore.(*Store).enqueue(", "keystore.(*Store).run("
	hold := func(op func(*keystore.Tx)) (inside chan bool, leave func()) {
		inside, left := make(chan bool), make(chan bool)
		var enter, exit sync.Once
		leave = func() { exit.Do(func() { close(left) }) }
		t.Cleanup(leave)
		go func() {
			if err := v.store.Commit(context.Background(), func(tx *keystore.Tx) error {
				if op != nil {
					op(tx)
				}
				enter.Do(func() { close(inside) })
				<-left
				return nil
			}); err != nil {
				t.Error(err)
			}
		}()
		return inside, leave
	}
	// The first commit may run in its caller's goroutine. The second is in a group of the
	// committer's own goroutine, which takes all that is queued behind it.
	inside, leave := hold(nil)
	<-inside
	second, leaveSecond := hold(first)
	poll.Until(t, "the committer has taken the second commit", func() bool {
		return goroutines(taken, "[sync.Mutex.Lock") == 1 || goroutines(taken, "holdCommitter") == 1 && goroutines(queued) == 2
	})
	leave()
	<-second
	return func(n int, then func()) {
		t.Helper()
		poll.Until(t, "the operations wait for the committer", func() bool {
			return goroutines(queued)-goroutines(queued, "holdCommitter") == n
		})
		if then != nil {
			then()
		}
		leaveSecond()
	}
}

// inOneGroup runs the operations so that their changes are committed in one group.
func inOneGroup(t *testing.T, v *Vault, operations ...func() error) []error {
	t.Helper()
	release := holdCommitter(t, v, nil)
	errs := make([]error, len(operations))
	var all sync.WaitGroup
	for i, op := range operations {
		all.Go(func() { errs[i] = op() })
	}
	release(len(operations), nil)
	all.Wait()
	return errs
}

// TestRestoreApprovalsInOneGroup: approvals of a restoration that are committed in one group
// end the wait of the vault.
func TestRestoreApprovalsInOneGroup(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, _ := newTestVault(t, cfg)
	wait := restoration{Time: v.clock.Now().UTC(), Approvals: 3, Within: time.Hour}
	if err := v.store.Commit(t.Context(), func(tx *keystore.Tx) error {
		tx.Put(restorePath, encode(wait))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	v.restoring.Store(true)
	approve := func(p Principal) func() error {
		return func() error { return v.As(p).Approve(t.Context(), Approval{Operation: OpRestoreVault}) }
	}
	for _, err := range inOneGroup(t, v, approve("alice"), approve("bob"), approve("carol"), approve(DefaultOwner)) {
		// One that comes after the last that was needed finds no vault that waits.
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	if _, err := v.As("alice").GenerateRandom(t.Context(), 1); err != nil {
		t.Errorf("after the approvals of three principals: %v", err)
	}
}

// TestUseInGroupOfApproval: an operation uses up the approvals that are committed before it in
// the same group, so that none is left for a second operation.
func TestUseInGroupOfApproval(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = oneApprovalFor(OpDisableKey)
	v, _ := newTestVault(t, cfg)
	ctx, k := t.Context(), mustKey(t, v.As("alice"), KeyOptions{})
	approval := Approval{Operation: OpDisableKey, Key: k.ID}
	if err := v.As("bob").Approve(ctx, approval); err != nil {
		t.Fatal(err)
	}
	release := holdCommitter(t, v, func(tx *keystore.Tx) { // an approval that is not durable yet
		tx.Put(approval.path(v.suite, "carol"), encode(storedApproval{approval, "carol", v.deadline.Now().UTC()}))
	})
	var err error
	var all sync.WaitGroup
	all.Go(func() { err = v.As("alice").DisableKeys(ctx, k.ID) })
	release(1, nil)
	all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if left, err := v.As("alice").ListApprovals(ctx); err != nil || len(left) != 0 {
		t.Errorf("after the operation the approvals %+v are left, %v", left, err)
	}
}

// storeMany stores n records of each.
func storeMany(t *testing.T, v *Vault, n int, each func(*keystore.Tx, int)) {
	t.Helper()
	for i := 0; i < n; i += 500 {
		must(t, v.store.Commit(t.Context(), func(tx *keystore.Tx) error {
			for k := i; k < min(n, i+500); k++ {
				each(tx, k)
			}
			return nil
		}))
	}
}

// putGrants stores n grants of a principal.
func putGrants(t *testing.T, v *Vault, n int, p Principal) {
	t.Helper()
	storeMany(t, v, n, func(tx *keystore.Tx, i int) {
		id := fmt.Sprintf("%032x", i)
		tx.Put(grantPath(id), encode(Grant{ID: id, Principal: p}))
	})
}

// TestLimitsInOneGroup: grants and approvals that are committed in one group do not exceed the
// limits of the vault.
func TestLimitsInOneGroup(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, _ := newTestVault(t, cfg)
	ctx, now := t.Context(), v.deadline.Now().UTC()
	const room, more = 3, 8
	putGrants(t, v, maxGrants-room, "filler")
	storeMany(t, v, maxApprovals-room, func(tx *keystore.Tx, i int) {
		a := storedApproval{Approval{Operation: OpEncrypt, Subject: fmt.Sprint(i)}, Principal(fmt.Sprint("filler", i%16)), now}
		tx.Put(a.path(v.suite, a.Principal), encode(a))
	})
	for name, operation := range map[string]func(i int) error{
		"Narrow": func(int) error {
			_, _, err := v.As("alice").Narrow(ctx, Grant{})
			return err
		},
		"Approve": func(i int) error {
			return v.As("alice").Approve(ctx, Approval{Operation: OpDecrypt, Subject: fmt.Sprint(i)})
		},
	} {
		var operations []func() error
		for i := range more {
			operations = append(operations, func() error { return operation(i) })
		}
		done := 0
		for _, err := range inOneGroup(t, v, operations...) {
			if err == nil {
				done++
			} else if !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: %v, want ErrTooLarge", name, err)
			}
		}
		if done != room {
			t.Errorf("%s: %d operations succeeded where there was room for %d", name, done, room)
		}
	}
	if n := len(v.store.Paths(grants)); n != maxGrants {
		t.Errorf("the vault has %d grants, the limit is %d", n, maxGrants)
	}
	if n := len(v.store.Paths(approvals)); n != maxApprovals {
		t.Errorf("the vault has %d approvals, the limit is %d", n, maxApprovals)
	}
	// An approval that replaces another one needs no room.
	if err := v.As("filler1").Approve(ctx, Approval{Operation: OpEncrypt, Subject: "1"}); err != nil {
		t.Errorf("an approval again: %v", err)
	}
}

// TestApproverLeavesRoom: one principal cannot take the places of the approvals of others, also
// not in one group, and gets its own places back.
func TestApproverLeavesRoom(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, _ := newTestVault(t, cfg)
	ctx, mallory := t.Context(), v.As("mallory")
	approve := func(c Client, n int) error {
		return c.Approve(ctx, Approval{Operation: OpEncrypt, Subject: fmt.Sprint(n)})
	}
	const room = 3
	for n := range maxApprovalsEach - room {
		must(t, approve(mallory, n))
	}
	var more []func() error
	for n := range 2 * room {
		more = append(more, func() error { return approve(mallory, maxApprovals+n) })
	}
	done := 0
	for _, err := range inOneGroup(t, v, more...) {
		if err == nil {
			done++
		} else if !errors.Is(err, ErrTooLarge) {
			t.Errorf("an approval beyond the limit of a principal: %v, want ErrTooLarge", err)
		}
	}
	if done != room {
		t.Errorf("%d approvals succeeded where there was room for %d", done, room)
	}
	must(t, approve(mallory, 0)) // replaces another one
	must(t, approve(v.As("bob"), 0))
	pending, err := mallory.ListApprovals(ctx)
	must(t, err)
	if len(pending) != maxApprovalsEach+1 {
		t.Errorf("%d approvals are pending, want %d of mallory and one of bob", len(pending), maxApprovalsEach)
	}
	own := slices.IndexFunc(pending, func(p PendingApproval) bool { return p.Principal == "mallory" })
	must(t, mallory.WithdrawApproval(ctx, pending[own].ID))
	must(t, approve(mallory, 2*maxApprovals))
}

// TestGrantsLeaveRoom: one principal cannot take the places of the grants of others. Grants that
// have ended take none.
func TestGrantsLeaveRoom(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, _ := newTestVault(t, cfg)
	ctx, mallory := t.Context(), v.As("mallory")
	putGrants(t, v, maxGrantsEach-1, "mallory")
	_, last := mustNarrow(t, mallory, Grant{})
	if _, _, err := mallory.Narrow(ctx, Grant{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a grant beyond the limit of a principal: %v, want ErrTooLarge", err)
	}
	mustNarrow(t, v.As("bob"), Grant{})
	must(t, mallory.RevokeGrant(ctx, last.ID))
	mustNarrow(t, mallory, Grant{Until: v.deadline.Now()})
	mustNarrow(t, mallory, Grant{})
}

// TestRevokeGrantInGroup: RevokeGrant removes the grants that were made below the grant earlier
// in the same group.
func TestRevokeGrantInGroup(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	owner := v.As(DefaultOwner)
	parent, g := mustNarrow(t, owner, Grant{})
	below := func() error {
		_, _, err := parent.Narrow(t.Context(), Grant{})
		if errors.Is(err, ErrDenied) {
			return nil
		}
		return err
	}
	if err := errors.Join(inOneGroup(t, v, below, below, func() error { return owner.RevokeGrant(t.Context(), g.ID) }, below)...); err != nil {
		t.Fatal(err)
	}
	if left := v.store.Paths(grants); len(left) != 0 {
		t.Errorf("the grants %v are left", left)
	}
}

// TestGrantEndsWhileTimeIsSetBack: a grant whose time ends between the first check of
// SetTimeBack and its end does not begin again.
func TestGrantEndsWhileTimeIsSetBack(t *testing.T) {
	cfg := testConfig()
	right := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	now := clock.NewFake(right.AddDate(10, 0, 0))
	cfg.Clock = now
	v, _ := newTestVault(t, cfg)
	ctx, owner := t.Context(), v.As(DefaultOwner)
	var ids []string
	for _, after := range []time.Duration{-1, 0, time.Millisecond, 2 * time.Second, settingTime, settingTime + time.Second} {
		_, g := mustNarrow(t, owner, Grant{Until: now.Now().Add(after)})
		ids = append(ids, g.ID)
	}
	now.Set(right)
	release := holdCommitter(t, v, nil)
	var err error
	var all sync.WaitGroup
	all.Go(func() { err = owner.SetTimeBack(ctx, right) })
	release(1, func() { now.Advance(time.Second) })
	all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		_, err := owner.WithGrant(ctx, id)
		if wantEnded := i < len(ids)-1; errors.Is(err, ErrNotFound) != wantEnded {
			t.Errorf("grant %d after SetTimeBack: %v, want ended: %v", i, err, wantEnded)
		}
	}
}
