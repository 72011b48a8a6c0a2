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

// recoverRoot fills root by the first protector that opens an entry of its kind.
func recoverRoot(ctx context.Context, root *lockedmem.Buffer, b driver.Binding, entries []keystore.Protector, protectors []driver.Protector) (u unlocking, err error) {
	var tried []error
	for _, p := range protectors {
		foreign, known := false, false
		for _, e := range entries {
			if e.Kind != p.Kind() {
				continue
			}
			got, err := p.Recover(ctx, root.Bytes()[:0], b, e.Blob)
			if err == nil && len(got) == rootSize {
				copy(root.Bytes(), got) // whatever memory it chose
				u.by = e.ID
				return u, nil
			}
			if ctx.Err() != nil {
				return u, ctx.Err()
			}
			if errors.Is(err, driver.ErrWrongDevice) {
				foreign = true
			} else {
				known = true
			}
			tried = append(tried, fmt.Errorf("%s: %w", p.Kind(), err))
		}
		if foreign && !known {
			u.strangers = append(u.strangers, p)
		}
	}
	switch {
	case len(tried) == 0:
		return u, fmt.Errorf("%w: none of the %d given is of a kind that it has: %s", ErrUnlock, len(protectors), kinds(entries))
	case len(u.strangers) > 0:
		return u, fmt.Errorf("%w: %w: %w", ErrUnlock, ErrWrongDevice, errors.Join(tried...))
	}
	return u, fmt.Errorf("%w: %w; try another, it has: %s", ErrUnlock, errors.Join(tried...), kinds(entries))
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
	if _, err := recoverRoot(ctx, root, v.binding(), v.store.Root().Protectors, []driver.Protector{p}); err != nil {
		return err
	}
	return use(root.Bytes())
}
