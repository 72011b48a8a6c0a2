//go:build cgo && unix

package bench

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/miekg/pkcs11"

	"strongroom.example/internal/testing/testtoken"
)

// sessionsOf returns a function that asks a token how many sessions this process has open.
// It calls the module that the driver has initialised.
func sessionsOf(token testtoken.PKCS11) func() (int, error) {
	return func() (int, error) {
		module := pkcs11.New(token.Module)
		if module == nil {
			return 0, errors.New("bench: the module cannot be loaded")
		}
		slots, err := module.GetSlotList(true)
		if err != nil {
			return 0, err
		}
		for _, slot := range slots {
			info, err := module.GetTokenInfo(slot)
			if err == nil && info.Label == token.Label {
				return int(info.SessionCount), nil
			}
		}
		return 0, errors.New("bench: the token is gone")
	}
}

// printModule prints what a module says of itself: its file, maker, description and version.
func printModule(name, path string) {
	module := pkcs11.New(path)
	if module == nil {
		return
	}
	if i, err := module.GetInfo(); err == nil {
		fmt.Printf("module-%s: %s, %s, %s, %d.%d, Cryptoki %d.%d\n", name, filepath.Base(path), i.ManufacturerID, i.LibraryDescription,
			i.LibraryVersion.Major, i.LibraryVersion.Minor, i.CryptokiVersion.Major, i.CryptokiVersion.Minor)
	}
}
