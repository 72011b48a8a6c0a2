package vault

import (
	"context"
	"errors"
	"sync"
)

// MoveKey moves the wrapped material of a CMK, all versions of it, to another of
// the vault's drivers. No ciphertext changes. In a device that keeps its keys the
// material is resident from then on and cannot be moved again; its provenance still
// tells that it was outside. The old material is destroyed, as by
// DeleteImportedKeyMaterial, also after a move that stopped half-way; with it goes an
// import token that was tried.
//
// It returns a receipt for each version that was moved, the oldest first, signed by
// the log key (audit.OpenReceipt reads it), which its audit record holds as well. A
// move that was interrupted goes on where it was when MoveKey is called again.
//
// Errors: ErrNotExportable for resident material, ErrUnsupported where the driver
// does not take it, ErrInvalid for a driver that is not there, ErrKeyState,
// ErrUnavailable, ErrDenied.
func (c Client) MoveKey(ctx context.Context, key, to string) ([][]byte, error) {
	moves, err := c.moveVersions(ctx, key, to)
	left := c.vault.leaveBehind(ctx, moves)
	var receipts [][]byte
	for _, m := range moves {
		receipts = append(receipts, m.receipt)
	}
	return receipts, orElse(err, wrap(OpMoveKey, key, left))
}

// moveVersions moves one version after the other, and returns what it came to.
func (c Client) moveVersions(ctx context.Context, key, to string) (moves []*move, err error) {
	for n, last := uint32(1), uint32(1); n <= last; n++ {
		var m *move
		err := c.onKey(ctx, request{op: OpMoveKey, key: key, version: n, driver: to}, func(ctx context.Context, t *target, e *entry) (err error) {
			last = t.Version
			m, err = c.vault.move(ctx, t, e, moving{number: n, to: to})
			return err
		})
		if err != nil {
			return moves, err
		}
		if m != nil { // else it is there already
			moves = append(moves, m)
		}
	}
	return moves, nil
}

// leaveBehind destroys what was moved, side by side, so that it shares a change of
// epoch. It does so also after a move that stopped half-way, and does not end with ctx.
func (v *Vault) leaveBehind(ctx context.Context, moves []*move) error {
	if len(moves) == 0 {
		return nil
	}
	if err := v.enter(); err != nil {
		return err
	}
	defer v.leave()
	errs := make([]error, len(moves))
	var all sync.WaitGroup
	for i, m := range moves {
		all.Go(func() { errs[i] = v.settleDoomed(context.WithoutCancel(ctx), m.old) })
	}
	all.Wait()
	return errors.Join(errs...)
}
