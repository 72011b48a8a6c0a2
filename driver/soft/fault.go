package soft

import (
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
)

// fault returns a driver.Error. The cause must not hold a secret.
func fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}

// lockedFault classifies a failed allocation of locked memory. Exceeding a limit is
// Throttled, because memory becomes free when other keys are closed.
func lockedFault(op string, err error) error {
	if errors.Is(err, lockedmem.ErrExhausted) {
		return fault(op, driver.Throttled, err)
	}
	return fault(op, driver.Unknown, err)
}

var (
	errClosed = errors.New("closed")
	errSpec   = errors.New("spec not offered")
)
