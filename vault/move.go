package vault

import (
	"context"
	"errors"
	"sync"
)

// MoveKey moves the wrapped material of a CMK, in all its versions, to another of the
// vault's drivers. Ciphertexts do not change. In a device that stores keys the material
// becomes resident and cannot be moved again; its provenance still shows that it was
// outside the device. MoveKey destroys the old material as DeleteImportedKeyMaterial does,
// even if the move fails for a later version, and invalidates an import token with which an
// import was attempted.
//
// MoveKey returns a receipt for each moved version, the oldest first, signed by the log key
// (audit.OpenReceipt reads it). The audit record holds the receipt too. After an
// interruption, call MoveKey again to move the remaining versions.
//
// Errors:
//
//   - ErrNotExportable: the material is resident.
//   - ErrUnsupported: the driver does not accept the material, or its level is too low.
//   - ErrInvalid: there is no such driver.
//   - ErrKeyState, ErrUnavailable, ErrDenied.
func (c Client) MoveKey(ctx context.Context, key, to string) ([][]byte, error) {
	moves, err := c.moveVersions(ctx, key, to)
	left := c.vault.leaveBehind(ctx, moves)
	var receipts [][]byte
	for _, m := range moves {
		receipts = append(receipts, m.receipt)
	}
	return receipts, orElse(err, wrap(OpMoveKey, key, left))
}

// moveVersions moves the versions one by one, and returns the moves that succeeded.
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
		if m != nil { // nil if it is there already
			moves = append(moves, m)
		}
	}
	return moves, nil
}

// leaveBehind destroys the material at its old place. It destroys all versions
// concurrently, so that they share a change of epoch, and ignores the end of ctx.
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
