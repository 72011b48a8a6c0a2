package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"strongroom.example/internal/suite"
)

const (
	rootFile    = "root"
	rootCopy    = "root.copy"
	rootNext    = "root.next" // while the file is being replaced
	rootOld     = "root.old"  // a replaced copy that is not erased yet
	createFile  = "creating"
	engineDir   = "store"
	maxRootFile = 1 << 20
)

// Root is a parsed root file. Its exported fields are the public part, which can be read
// without a protector. They are authentic only once Authenticates has returned true for a
// root, or Open has returned the store.
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

// Protector is one way to recover the root. The format of Blob belongs to the driver.
type Protector struct {
	ID           string // short random hex, unique in the file
	Name, Kind   string
	MachineBound bool
	Created      time.Time
	Blob         []byte
}

// ReadRoot returns the first of the files that ReadRoots returns, with the same errors.
func ReadRoot(dir string) (*Root, error) {
	files, err := ReadRoots(dir)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// ReadRoots reads the root file, its copy, and the file that was to replace both, in that
// order. It omits files that are missing or damaged, and files with the same bytes as an
// earlier one. It therefore returns more than one only after damage, a change by another
// program, or a crash during a replacement.
//
// The files are not authenticated. Their unkeyed hash detects only accidental damage: the
// caller must not act on a field before Authenticates has returned true for that file.
//
// Errors: ErrNoStore if the directory or all of the files are missing, ErrCorrupt if the
// files that are there are damaged, ErrDirectory if the system does not let them be read.
func ReadRoots(dir string) ([]*Root, error) {
	d, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	defer d.close()
	files, err := d.readRoots()
	return files, environment("read the root file in", d.path, err)
}

func (d *directory) readRoots() ([]*Root, error) {
	var files []*Root
	var faults []error
	for _, name := range []string{rootFile, rootCopy, rootNext} {
		r, err := d.readRootFile(name)
		switch {
		case err != nil:
			faults = append(faults, err)
		case !slices.ContainsFunc(files, func(f *Root) bool { return bytes.Equal(f.raw, r.raw) }):
			files = append(files, r)
		}
	}
	if len(files) > 0 {
		return files, nil
	}
	return nil, d.unreadable(faults)
}

// unreadable returns an error with a remedy when no root file can be read. faults has the
// errors of root, root.copy and root.next in that order.
func (d *directory) unreadable(faults []error) error {
	missing := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	damaged := func(err error) bool { return errors.Is(err, ErrCorrupt) }
	switch named := faults[:2]; {
	case missing(named[0]) && missing(named[1]) && d.exists(createFile):
		return fmt.Errorf("%w: its creation was cut short; create it again", ErrNoStore)
	case missing(named[0]) && missing(named[1]):
		return fmt.Errorf("%w: the root file and its copy are missing from the directory; %s", ErrNoStore, putBack)
	case slices.ContainsFunc(named, damaged):
		return fmt.Errorf("%w: the root file and its copy are damaged; %s", ErrCorrupt, putBack)
	}
	return faults[0]
}

// putBack is the advice on which backups help when no current root file is left.
const putBack = "put one back from a copy of the directory that was made since the last change of protectors or of the root " +
	"and the last destruction of key material (a move of a key is one); if there is none, put back a copy of the whole directory"

func (d *directory) readRootFile(name string) (*Root, error) {
	b, err := d.readBounded(name, maxRootFile)
	if err != nil {
		return nil, err
	}
	return parseRoot(b)
}

func (r *Root) hash() [32]byte { return r.suite.Hash(r.raw) }

// Suite returns the suite that the file names.
func (r *Root) Suite() Suite { return r.suite }

// Authenticates reports whether the file's MAC holds under root, that is, whether a
// holder of root wrote exactly this file. It is false for a root that is not 32 bytes
// long. The keys that it derives are wiped.
func (r *Root) Authenticates(root []byte) bool {
	if len(root) != keySize || r.raw == nil {
		return false
	}
	key := suite.NewSecret(keySize)
	defer suite.Wipe(key)
	r.suite.KDF(key, root, labelRootMAC, nil)
	return r.macHolds(key)
}

// public returns a deep copy without the sealed keyring.
func (r *Root) public() Root {
	out := *r
	out.sealed, out.raw = nil, nil
	out.Protectors = append([]Protector(nil), r.Protectors...)
	for i := range out.Protectors {
		out.Protectors[i].Blob = append([]byte(nil), out.Protectors[i].Blob...)
	}
	return out
}
