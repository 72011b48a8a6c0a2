// Package rootunlock wraps the root of a vault or backup with protectors, and recovers it.
package rootunlock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
)

// RootSize is the length of a root in bytes.
const RootSize = 32

// errBudget is the fault of an entry that was not tried.
var errBudget = errors.New("not tried: this entry and those before it demand more work than Config.UnlockWork allows")

// errOtherRoot is the fault of an entry that yields another root than that of its file.
var errOtherRoot = errors.New("the recovered root does not authenticate the root file")

// A Result is a recovered root.
type Result struct {
	By   string            // id of the entry
	Root *lockedmem.Buffer // owned by the Unlocker
	// OtherDevice lists the protectors whose device differs from that of every entry.
	OtherDevice []driver.Protector
}

// A failure is the error of Unlock if no protector opens an entry.
type failure struct {
	given       int     // number of protectors
	kinds       string  // the kinds of the entries
	faults      []error // why entries did not open; empty if no entry is of a given kind
	otherDevice bool    // a protector's device differs from that of every entry
}

// Error returns the faults.
func (f *failure) Error() string { return errors.Join(f.faults...).Error() }

// Unwrap returns the faults.
func (f *failure) Unwrap() []error { return f.faults }

// An Unlocker tries protectors on the entries of root files and keeps every result, so that
// an entry that is in several files is tried once. The caller frees it after the last use
// of a root that it returned.
type Unlocker struct {
	// Limit bounds the work for the entries of one Wrapped, in the unit of
	// driver.WorkEstimator.
	Limit uint64

	arena      *lockedmem.Arena
	protectors []driver.Protector
	results    map[attempt]recovered
	roots      []*lockedmem.Buffer // every recovered root
}

// An attempt is one protector applied to one entry.
type attempt struct {
	protector int
	binding   driver.Binding
	blob      string
}

// recovered is the root that an attempt recovered, or its fault.
type recovered struct {
	root  *lockedmem.Buffer
	fault error
}

// New returns an Unlocker that allocates roots in arena.
func New(arena *lockedmem.Arena, limit uint64, protectors []driver.Protector) *Unlocker {
	return &Unlocker{arena: arena, protectors: protectors, results: map[attempt]recovered{}, Limit: limit}
}

// Free wipes the recovered roots.
func (u *Unlocker) Free() {
	for _, b := range u.roots {
		b.Free()
	}
	u.roots = nil
}

// Wrapped is a wrapped root, with one entry for each protector.
type Wrapped struct {
	Binding driver.Binding
	Entries []keystore.Protector
	// Authenticates reports whether a root is that of the file.
	Authenticates func(root []byte) bool
}

// WrappedIn returns the wrapped root of f.
func WrappedIn(f *keystore.Root) Wrapped {
	return Wrapped{driver.Binding{VaultID: f.VaultID, Edition: driver.Edition(f.Edition)}, f.Protectors, f.Authenticates}
}

// Unlock recovers the root of w with the first protector that opens an entry of its kind.
// Unless w is known to be authentic, the caller must use nothing of it except the returned
// root. Errors: ErrUnlock, also with ErrWrongDevice; that of ctx; lockedmem.ErrExhausted.
func (u *Unlocker) Unlock(ctx context.Context, w Wrapped) (Result, error) {
	how, err := u.tryAll(ctx, w)
	var f *failure
	switch {
	case !errors.As(err, &f):
		return how, err
	case len(f.faults) == 0:
		return how, fmt.Errorf("%w: none of the %d given is of a kind that the vault has: %s", fault.ErrUnlock, f.given, f.kinds)
	case f.otherDevice:
		return how, fmt.Errorf("%w: %w: %w", fault.ErrUnlock, fault.ErrWrongDevice, f)
	}
	return how, fmt.Errorf("%w: %w; try another, the vault has: %s", fault.ErrUnlock, f, f.kinds)
}

// tryAll tries all protectors. Errors: a *failure, that of ctx, and lockedmem.ErrExhausted.
func (u *Unlocker) tryAll(ctx context.Context, w Wrapped) (how Result, err error) {
	var tried []error
	left := u.Limit
	for i, p := range u.protectors {
		opened, faults := u.tryEntries(ctx, w, i, &left)
		if opened != nil {
			how.By, how.Root = opened.entry.ID, opened.root
			return how, nil
		}
		if ctx.Err() != nil {
			return how, ctx.Err()
		}
		if all := errors.Join(faults...); errors.Is(all, lockedmem.ErrExhausted) {
			return how, all
		}
		if allOfOtherDevice(faults) {
			how.OtherDevice = append(how.OtherDevice, p)
		}
		tried = append(tried, faults...)
	}
	return how, &failure{len(u.protectors), kinds(w.Entries), tried, len(how.OtherDevice) > 0}
}

// An openedEntry is an entry and the root that it yielded.
type openedEntry struct {
	entry keystore.Protector
	root  *lockedmem.Buffer
}

// tryEntries tries one protector on each entry of its kind. It returns the entry that it
// opened, or the fault of each.
func (u *Unlocker) tryEntries(ctx context.Context, w Wrapped, protector int, left *uint64) (*openedEntry, []error) {
	var faults []error
	p := u.protectors[protector]
	for _, e := range w.Entries {
		if e.Kind != p.Kind() {
			continue
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		r := u.run(ctx, attempt{protector, w.Binding, string(e.Blob)}, left)
		if r.fault == nil && w.Authenticates(r.root.Bytes()) {
			return &openedEntry{e, r.root}, nil
		}
		faults = append(faults, fmt.Errorf("%s: %w", p.Kind(), cmp.Or(r.fault, errOtherRoot)))
	}
	return nil, faults
}

// run runs an attempt, unless it was run before. It reduces left by the work that the blob
// demands, and does not run the attempt if left is too small.
func (u *Unlocker) run(ctx context.Context, a attempt, left *uint64) recovered {
	if r, known := u.results[a]; known {
		return r
	}
	p, blob := u.protectors[a.protector], driver.Blob(a.blob)
	cost := workOf(p, a.binding, blob)
	if cost > *left {
		return recovered{fault: errBudget}
	}
	*left -= cost
	r := u.recoverRoot(ctx, p, a.binding, blob)
	if ctx.Err() == nil {
		u.results[a] = r
	}
	return r
}

func (u *Unlocker) recoverRoot(ctx context.Context, p driver.Protector, b driver.Binding, blob driver.Blob) recovered {
	root, err := u.arena.Alloc(RootSize)
	if err != nil {
		return recovered{fault: err}
	}
	got, err := p.Recover(ctx, root.Bytes()[:0], b, blob)
	if err == nil && len(got) != RootSize {
		err = fmt.Errorf("the protector returned a root of %d bytes", len(got))
	}
	if err != nil {
		root.Free()
		return recovered{fault: err}
	}
	copy(root.Bytes(), got) // got may be in other memory
	u.roots = append(u.roots, root)
	return recovered{root: root}
}

// workOf returns the work that a blob demands of a protector, or 0 if the protector gives
// no estimate.
func workOf(p driver.Protector, b driver.Binding, blob driver.Blob) uint64 {
	if e, ok := p.(driver.WorkEstimator); ok {
		return e.Work(b, blob)
	}
	return 0
}

// Work returns the work that all entries of w demand of all protectors.
func (u *Unlocker) Work(w Wrapped) (sum uint64) {
	for _, p := range u.protectors {
		for _, e := range w.Entries {
			if e.Kind == p.Kind() {
				sum += workOf(p, w.Binding, e.Blob)
			}
		}
	}
	return sum
}

// RootOf returns the recovered root that authenticates f, or nil if there is none.
func (u *Unlocker) RootOf(f *keystore.Root) []byte {
	for _, b := range u.roots {
		if root := b.Bytes(); f.Authenticates(root) {
			return root
		}
	}
	return nil
}

// Roots returns the roots that were recovered so far.
func (u *Unlocker) Roots() (out [][]byte) {
	for _, b := range u.roots {
		out = append(out, b.Bytes())
	}
	return out
}

// allOfOtherDevice reports whether every entry belongs to another device than the
// protector's.
func allOfOtherDevice(faults []error) bool {
	own := func(err error) bool { return !errors.Is(err, driver.ErrWrongDevice) }
	return len(faults) > 0 && !slices.ContainsFunc(faults, own)
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
