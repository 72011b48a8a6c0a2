package soft

import (
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
)

// fault makes a driver.Error. The cause must hold no secret.
func fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}

// lockedFault classifies a failure to get locked memory: a limit passes when other
// keys are closed.
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
