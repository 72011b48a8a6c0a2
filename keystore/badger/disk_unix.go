//go:build unix

package badger

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"strongroom.example/keystore"
)

// lockDir takes the lock of the directory, the one that Badger takes too. ErrInUse if
// an engine has it, in this process or another. Closing the file releases it.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("%w: %s", keystore.ErrInUse, dir)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("keystore/badger: lock %s: %w", dir, err)
	}
	return f, nil
}

// unlockDir releases the lock for a moment, for Badger, which takes its own.
func unlockDir(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// relockDir takes the lock again.
func relockDir(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
