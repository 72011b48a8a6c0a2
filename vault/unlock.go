package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
)

// rootSize is the length of a vault's root.
const rootSize = 32

// defaultUnlockWork is the default of Config.UnlockWork. It is twice the work of the most
// expensive passphrase that package soft accepts, and 170 times the work of soft's default.
const defaultUnlockWork = 32768

// errBudget is the fault of an entry that was not tried.
var errBudget = errors.New("not tried: together with the entries before it, it demands more work than Config.UnlockWork allows")

// errOtherRoot is the fault of an entry that yields another root than that of its file.
var errOtherRoot = errors.New("the root that it gives does not authenticate the root file")

// unlocking is the result of recovering a root.
type unlocking struct {
	by   string            // id of the entry
	root *lockedmem.Buffer // owned by the unlocker
	// strangers are protectors whose device differs from that of every entry.
	strangers []driver.Protector
}

// An unlocker tries protectors on the entries of root files and keeps every result, so that
// an entry that is in several files is tried once. The caller frees it after the last use
// of a root that it returned.
type unlocker struct {
	arena      *lockedmem.Arena
	protectors []driver.Protector
	results    map[attempt]result
	roots      []*lockedmem.Buffer // every recovered root
	// work bounds the work for the entries of one wrappedRoot.
	work uint64
}

// An attempt is one protector applied to one entry.
type attempt struct {
	protector int
	binding   driver.Binding
	blob      string
}

// A result is the root that an attempt recovered, or its fault.
type result struct {
	root  *lockedmem.Buffer
	fault error
}

func newUnlocker(arena *lockedmem.Arena, work uint64, protectors []driver.Protector) *unlocker {
	return &unlocker{arena: arena, protectors: protectors, results: map[attempt]result{}, work: work}
}

func (u *unlocker) free() {
	for _, b := range u.roots {
		b.Free()
	}
	u.roots = nil
}

// wrappedRoot is the wrapped root of a root file, with one entry for each protector.
type wrappedRoot struct {
	binding driver.Binding
	entries []keystore.Protector
	// authenticates reports whether a root is that of the file.
	authenticates func(root []byte) bool
}

// wrappedIn returns the wrapped root of f.
func wrappedIn(f *keystore.Root) wrappedRoot {
	return wrappedRoot{driver.Binding{VaultID: f.VaultID, Edition: driver.Edition(f.Edition)}, f.Protectors, f.Authenticates}
}

// unlock recovers the root of w with the first protector that opens an entry of its kind.
// Unless w is known to be authentic, the caller must use nothing of it except the returned
// root.
func (u *unlocker) unlock(ctx context.Context, w wrappedRoot) (how unlocking, err error) {
	var tried []error
	left := u.work
	for i, p := range u.protectors {
		opened, faults := u.try(ctx, w, i, &left)
		if opened != nil {
			how.by, how.root = opened.entry.ID, opened.root
			return how, nil
		}
		if ctx.Err() != nil {
			return how, ctx.Err()
		}
		if all := errors.Join(faults...); errors.Is(all, lockedmem.ErrExhausted) {
			return how, all
		}
		if foreign(faults) {
			how.strangers = append(how.strangers, p)
		}
		tried = append(tried, faults...)
	}
	switch {
	case len(tried) == 0:
		return how, fmt.Errorf("%w: none of the %d given is of a kind that it has: %s", ErrUnlock, len(u.protectors), kinds(w.entries))
	case len(how.strangers) > 0:
		return how, fmt.Errorf("%w: %w: %w", ErrUnlock, ErrWrongDevice, errors.Join(tried...))
	}
	return how, fmt.Errorf("%w: %w; try another, it has: %s", ErrUnlock, errors.Join(tried...), kinds(w.entries))
}

// An openedEntry is an entry and the root that it yielded.
type openedEntry struct {
	entry keystore.Protector
	root  *lockedmem.Buffer
}

// try tries one protector on each entry of its kind. It returns the entry that it opened,
// or the fault of each.
func (u *unlocker) try(ctx context.Context, w wrappedRoot, protector int, left *uint64) (*openedEntry, []error) {
	var faults []error
	p := u.protectors[protector]
	for _, e := range w.entries {
		if e.Kind != p.Kind() {
			continue
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		r := u.attempt(ctx, attempt{protector, w.binding, string(e.Blob)}, left)
		if r.fault == nil && w.authenticates(r.root.Bytes()) {
			return &openedEntry{e, r.root}, nil
		}
		faults = append(faults, fmt.Errorf("%s: %w", p.Kind(), cmp.Or(r.fault, errOtherRoot)))
	}
	return nil, faults
}

// attempt runs an attempt, unless it was run before. It reduces left by the work that the
// blob demands, and does not run the attempt if left is too small.
func (u *unlocker) attempt(ctx context.Context, a attempt, left *uint64) result {
	if r, known := u.results[a]; known {
		return r
	}
	p, blob := u.protectors[a.protector], driver.Blob(a.blob)
	cost := workOf(p, a.binding, blob)
	if cost > *left {
		return result{fault: errBudget}
	}
	*left -= cost
	r := u.recover(ctx, p, a.binding, blob)
	if ctx.Err() == nil {
		u.results[a] = r
	}
	return r
}

func (u *unlocker) recover(ctx context.Context, p driver.Protector, b driver.Binding, blob driver.Blob) result {
	root, err := u.arena.Alloc(rootSize)
	if err != nil {
		return result{fault: err}
	}
	got, err := p.Recover(ctx, root.Bytes()[:0], b, blob)
	if err == nil && len(got) != rootSize {
		err = fmt.Errorf("it gave a root of %d bytes", len(got))
	}
	if err != nil {
		root.Free()
		return result{fault: err}
	}
	copy(root.Bytes(), got) // got may be in other memory
	u.roots = append(u.roots, root)
	return result{root: root}
}

// workOf returns the work that a blob demands of a protector, or 0 if the protector gives
// no estimate.
func workOf(p driver.Protector, b driver.Binding, blob driver.Blob) uint64 {
	if e, ok := p.(driver.WorkEstimator); ok {
		return e.Work(b, blob)
	}
	return 0
}

// workIn returns the work that a whole root file demands of all protectors.
func (u *unlocker) workIn(w wrappedRoot) (sum uint64) {
	for _, p := range u.protectors {
		for _, e := range w.entries {
			if e.Kind == p.Kind() {
				sum += workOf(p, w.binding, e.Blob)
			}
		}
	}
	return sum
}

// known returns the recovered root that authenticates f, or nil if there is none.
func (u *unlocker) known(f *keystore.Root) []byte {
	for _, b := range u.roots {
		if root := b.Bytes(); f.Authenticates(root) {
			return root
		}
	}
	return nil
}

// all returns the roots that were recovered so far.
func (u *unlocker) all() (out [][]byte) {
	for _, b := range u.roots {
		out = append(out, b.Bytes())
	}
	return out
}

// foreign reports whether every entry belongs to another device than the protector's.
func foreign(faults []error) bool {
	ours := func(err error) bool { return !errors.Is(err, driver.ErrWrongDevice) }
	return len(faults) > 0 && !slices.ContainsFunc(faults, ours)
}

// kinds lists the kinds of protectors.
func kinds(entries []keystore.Protector) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Kind)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// present recovers the root of the open vault with one of the protectors, as proof that the
// caller has access, and passes it to use.
func (v *Vault) present(ctx context.Context, protectors []driver.Protector, use func(unlocking) error) error {
	u := newUnlocker(v.arena, math.MaxUint64, protectors)
	defer u.free()
	how, err := u.unlock(ctx, wrappedRoot{v.binding(), v.store.Root().Protectors, v.store.AuthenticatesRoot})
	if err != nil {
		return err
	}
	return use(how)
}
