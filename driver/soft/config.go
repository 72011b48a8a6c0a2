package soft

import (
	"crypto/fips140"
	"crypto/rand"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// KeySize is the length in bytes of the wrapping key.
const KeySize = 32

// Config says how an engine is set up. Its zero value works. It prints redacted.
type Config struct {
	redacted
	// Key is the wrapping key of KeySize bytes. It is copied into locked memory;
	// the caller wipes its own. Nil means a fresh random key, with which every blob
	// dies when the driver is closed.
	Key []byte
	// Edition fixes the algorithms. Blobs are sealed with its suite, and FIPS hides
	// the SM specs.
	Edition driver.Edition
	// MaxLocked bounds the locked memory in bytes; 0 is what the system allows.
	MaxLocked int
}

// New opens an engine. A key of another length or an unknown edition is Invalid, the
// SM edition in a process that enforces FIPS 140 is Unsupported; too little lockable
// memory is Throttled and wraps the cause.
func New(cfg Config) (*Driver, error) {
	const op = "New"
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

// suiteOf returns the suite of an edition. Where the process enforces FIPS 140, Go
// panics on SM3.
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
