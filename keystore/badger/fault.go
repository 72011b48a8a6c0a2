package badger

import (
	"errors"
	"fmt"
	"syscall"

	"strongroom.example/keystore"
)

// fault says what failed. A disk without space or inodes, or a quota that is used up,
// is ErrFull.
func fault(doing string, err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w: keystore/badger: %s: %w", keystore.ErrFull, doing, err)
		}
	}
	return fmt.Errorf("keystore/badger: %s: %w", doing, err)
}
