//go:build !unix

package badger

import (
	"fmt"
	"os"
)

// lockDir opens the directory and locks nothing: the keystore's own lock stands before
// the engine.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	return f, nil
}

func unlockDir(*os.File) error { return nil }
func relockDir(*os.File) error { return nil }

// syncDir does nothing: NTFS logs its names.
func syncDir(string) error { return nil }
