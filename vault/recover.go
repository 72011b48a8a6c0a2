package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
)

// rootSize is the length of a vault's root.
const rootSize = 32

// unlocking is how a root was recovered.
type unlocking struct {
	by string // the entry's id
	// strangers are protectors whose device is another than that of every entry.
	strangers []driver.Protector
}

// wrappedRoot is a root as the root file has it: wrapped by each protector.
type wrappedRoot struct {
	binding driver.Binding
	entries []keystore.Protector
}

// wrappedRoot returns the root by the root file of this vault.
func (v *Vault) wrappedRoot(entries []keystore.Protector) wrappedRoot {
	return wrappedRoot{v.binding(), entries}
}

// unlock fills root by the first protector that opens an entry of its kind.
func (w wrappedRoot) unlock(ctx context.Context, root *lockedmem.Buffer, protectors ...driver.Protector) (u unlocking, err error) {
	var tried []error
	for _, p := range protectors {
		opened, faults := w.try(ctx, root, p)
		if opened != nil {
			u.by = opened.ID
			return u, nil
		}
		if ctx.Err() != nil {
			return u, ctx.Err()
		}
		if foreign(faults) {
			u.strangers = append(u.strangers, p)
		}
		tried = append(tried, faults...)
	}
	switch {
	case len(tried) == 0:
		return u, fmt.Errorf("%w: none of the %d given is of a kind that it has: %s", ErrUnlock, len(protectors), kinds(w.entries))
	case len(u.strangers) > 0:
		return u, fmt.Errorf("%w: %w: %w", ErrUnlock, ErrWrongDevice, errors.Join(tried...))
	}
	return u, fmt.Errorf("%w: %w; try another, it has: %s", ErrUnlock, errors.Join(tried...), kinds(w.entries))
}

// try fills root by one protector and returns the entry that it opened, or what it
// answered to each of its kind.
func (w wrappedRoot) try(ctx context.Context, root *lockedmem.Buffer, p driver.Protector) (opened *keystore.Protector, faults []error) {
	for i, e := range w.entries {
		if e.Kind != p.Kind() {
			continue
		}
		got, err := p.Recover(ctx, root.Bytes()[:0], w.binding, e.Blob)
		if err == nil && len(got) == rootSize {
			copy(root.Bytes(), got) // whatever memory it chose
			return &w.entries[i], nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if err == nil {
			err = fmt.Errorf("it gave a root of %d bytes", len(got))
		}
		faults = append(faults, fmt.Errorf("%s: %w", p.Kind(), err))
	}
	return nil, faults
}

// foreign reports whether every entry belongs to another device than the protector's.
func foreign(faults []error) bool {
	ours := func(err error) bool { return !errors.Is(err, driver.ErrWrongDevice) }
	return len(faults) > 0 && !slices.ContainsFunc(faults, ours)
}

// kinds names the kinds of protectors.
func kinds(entries []keystore.Protector) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Kind)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// withRoot recovers the root by p for the length of one call.
func (v *Vault) withRoot(ctx context.Context, p driver.Protector, use func(root []byte) error) error {
	root, err := v.arena.Alloc(rootSize)
	if err != nil {
		return err
	}
	defer root.Free()
	if _, err := v.wrappedRoot(v.store.Root().Protectors).unlock(ctx, root, p); err != nil {
		return err
	}
	return use(root.Bytes())
}
