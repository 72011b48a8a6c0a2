package soft

import (
	"context"
	"crypto/fips140"
	"crypto/rand"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// KeySize is the length in bytes of the wrapping key.
const KeySize = 32

// Config configures an engine. Its zero value is usable. It prints redacted.
type Config struct {
	redacted
	// Key is the wrapping key of KeySize bytes. Open copies it into locked memory; the
	// caller wipes Key. If it is nil, Open draws a random key, and every blob becomes
	// unusable when the driver is closed.
	Key []byte
	// Edition fixes the algorithms. Blobs are sealed with the edition's cipher suite. The
	// FIPS edition does not offer the SM specs.
	Edition driver.Edition
	// MaxLocked is the limit on locked memory in bytes. 0 means the limit of the system.
	MaxLocked int
}

// Open opens an engine. It needs no device, so that it returns at once.
//
// Errors:
//   - the context's, if ctx is done.
//   - Invalid: the key has another length, or the edition is unknown.
//   - Unsupported: the edition is SM, and the process enforces FIPS 140.
//   - Throttled: the system allows too little locked memory. The error wraps the cause.
func Open(ctx context.Context, cfg Config) (*Driver, error) {
	const op = "Open"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id, err := suiteOf(op, cfg.Edition)
	if err != nil {
		return nil, err
	}
	if cfg.Key != nil && len(cfg.Key) != KeySize {
		return nil, fault(op, driver.Invalid, errors.New("the wrapping key is not 32 bytes long"))
	}
	arena := lockedmem.NewRanked(cfg.MaxLocked, lockedmem.Caches)
	key, err := arena.Alloc(KeySize)
	if err != nil {
		return nil, lockedFault(op, errors.Join(err, arena.Close()))
	}
	if cfg.Key == nil {
		rand.Read(key.Bytes())
	} else {
		copy(key.Bytes(), cfg.Key)
	}
	return &Driver{
		info: driver.Info{
			Name:   "soft",
			Level:  driver.LevelSoftware,
			Device: driver.Device{Manufacturer: "Strongroom", Model: "software"},
			Specs:  specs(cfg.Edition),
		},
		suite: id,
		arena: arena,
		key:   key,
		open:  make(map[*handle]struct{}),
	}, nil
}

var (
	errEdition = errors.New("unknown edition")
	errSM      = errors.New("the SM algorithms are refused in a process that enforces FIPS 140")
)

// suiteOf returns the cipher suite of an edition. It rejects the SM edition where the
// process enforces FIPS 140, because SM3 panics there.
func suiteOf(op string, e driver.Edition) (suite.ID, error) {
	switch {
	case e == driver.Standard || e == driver.FIPS:
		return suite.AES, nil
	case e != driver.SM:
		return 0, fault(op, driver.Invalid, errEdition)
	case fips140.Enforced():
		return 0, fault(op, driver.Unsupported, errSM)
	}
	return suite.SM, nil
}

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
