package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/internal/suite"
)

const (
	rootFile    = "root"
	rootCopy    = "root.copy"
	rootNext    = "root.next" // while the file is being replaced
	rootOld     = "root.old"  // a replaced copy, until it is erased
	createFile  = "creating"
	engineDir   = "store"
	maxRootFile = 1 << 20
)

// Root is the public part of the root file: what stands in it before any
// protector has given up the root.
type Root struct {
	VaultID    [16]byte
	Edition    uint8
	Generation uint64
	Created    time.Time
	Protectors []Protector

	suite  suite.ID
	sealed []byte // the keyring
	raw    []byte // the file as read
}

// Protector is one way to the root. Its blob is the driver's.
type Protector struct {
	ID           string // short random hex, unique in the file
	Name, Kind   string
	MachineBound bool
	Created      time.Time
	Blob         []byte
}

// ReadRoot reads the root file, or its copy if the file is missing or damaged, or
// the file that was to replace both.
// Nothing in it is authentic yet: Open checks its MAC, and takes another copy if
// this one is not what the store was closed with. ErrNoStore if the directory or
// the file is missing or the store was never finished, ErrCorrupt if no copy can
// be read.
func ReadRoot(dir string) (*Root, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the directory does not exist (is it mounted?)", ErrNoStore)
	}
	if exists(dir, createFile) {
		return nil, fmt.Errorf("%w: its creation was cut short; create it again", ErrNoStore)
	}
	one, errOne := readRootFile(dir, rootFile)
	if errOne == nil {
		return one, nil
	}
	two, errTwo := readRootFile(dir, rootCopy)
	if errTwo == nil {
		return two, nil
	}
	if next, err := readRootFile(dir, rootNext); err == nil {
		return next, nil
	}
	switch {
	case errors.Is(errOne, fs.ErrNotExist) && errors.Is(errTwo, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: the root file and its copy are missing from the directory; put one back from a copy of the directory", ErrNoStore)
	case errors.Is(errOne, ErrCorrupt) || errors.Is(errTwo, ErrCorrupt):
		return nil, fmt.Errorf("%w: the root file and its copy are damaged", ErrCorrupt)
	}
	return nil, errOne
}

func readRootFile(dir, name string) (*Root, error) {
	b, err := readBounded(filepath.Join(dir, name), maxRootFile)
	if err != nil {
		return nil, err
	}
	return parseRoot(b)
}

func (r *Root) hash() [32]byte { return r.suite.Hash(r.raw) }

// public is a deep copy without the sealed keyring.
func (r *Root) public() Root {
	out := *r
	out.sealed, out.raw = nil, nil
	out.Protectors = append([]Protector(nil), r.Protectors...)
	for i := range out.Protectors {
		out.Protectors[i].Blob = append([]byte(nil), out.Protectors[i].Blob...)
	}
	return out
}
