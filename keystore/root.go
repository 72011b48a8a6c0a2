package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/rootfile"
)

// MaxProtectors is the largest number of protectors of a vault.
const MaxProtectors = 64

// The root file has room for as many.
var _ [MaxProtectors]byte = [rootfile.MaxProtectors]byte{}

// Root is a parsed root file. Its exported fields are the public part, which can be read
// without a protector. They are authentic only once Authenticates has returned true for a
// root, or Open has returned the store.
type Root struct {
	VaultID    [16]byte
	Edition    uint8
	Generation uint64
	Created    time.Time
	Protectors []Protector

	suite suite.ID
	file  *rootfile.File // nil in what Store.Root returns
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
	d, err := directory.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	files, err := readRoots(d)
	return files, fault.Environment("read the root file in", d.Path(), err)
}

// readRoots is ReadRoots for an open directory. It returns the error of a shortage.
func readRoots(d *directory.Dir) ([]*Root, error) {
	var files []*Root
	var faults []error
	for _, name := range []string{rootfile.Name, rootfile.Copy, rootfile.Next} {
		f, err := rootfile.Read(d, name)
		switch {
		case fault.IsShortage(err): // a file that cannot be read now may be the one in force
			return nil, err
		case err != nil:
			faults = append(faults, err)
		case !slices.ContainsFunc(files, func(r *Root) bool { return bytes.Equal(r.file.Bytes(), f.Bytes()) }):
			files = append(files, newRoot(f))
		}
	}
	if len(files) > 0 {
		return files, nil
	}
	return nil, unreadable(d, faults)
}

// unreadable returns an error with a remedy when no root file can be read. faults has the
// errors of root, root.copy and root.next in that order.
func unreadable(d *directory.Dir, faults []error) error {
	missing := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	damaged := func(err error) bool { return errors.Is(err, ErrCorrupt) }
	switch named := faults[:2]; {
	case missing(named[0]) && missing(named[1]) && d.Exists(createFile):
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

// parsedRoot parses a file that was read with err.
func parsedRoot(b []byte, err error) (*rootfile.File, error) {
	if err != nil {
		return nil, err
	}
	return rootfile.Parse(b)
}

// newRoot returns the Root of a parsed file.
func newRoot(f *rootfile.File) *Root {
	return &Root{
		VaultID: f.VaultID, Edition: f.Edition, Generation: f.Generation, Created: f.Created,
		Protectors: protectorsOf(f.Protectors), suite: f.Suite(), file: f,
	}
}

// sealRoot builds the root file with the public part of r.
func sealRoot(r Root, k *keyring.Keyring, keys *rootfile.Keys) (*Root, error) {
	f, err := rootfile.Seal(rootfile.Header{
		VaultID: r.VaultID, Edition: r.Edition, Generation: r.Generation, Created: r.Created,
		Protectors: filed(r.Protectors),
	}, k, keys)
	if err != nil {
		return nil, err
	}
	return newRoot(f), nil
}

func protectorsOf(all []rootfile.Protector) (out []Protector) {
	for _, p := range all {
		out = append(out, Protector(p))
	}
	return out
}

// filed is the inverse of protectorsOf.
func filed(all []Protector) (out []rootfile.Protector) {
	for _, p := range all {
		out = append(out, rootfile.Protector(p))
	}
	return out
}

// EncodeProtectors returns protectors in the encoding of the root file: their number,
// then each of them. It returns ErrTooLarge if there are more than MaxProtectors, or if a
// field exceeds its limit.
func EncodeProtectors(all []Protector) ([]byte, error) { return rootfile.EncodeProtectors(filed(all)) }

// DecodeProtectors decodes the output of EncodeProtectors. It returns ErrCorrupt for any
// other input.
func DecodeProtectors(b []byte) (all []Protector, err error) {
	found, err := rootfile.DecodeProtectors(b)
	return protectorsOf(found), err
}

// Suite returns the suite that the file names.
func (r *Root) Suite() Suite { return Suite(r.suite) }

// Authenticates reports whether the file's MAC holds under root, that is, whether a
// holder of root wrote exactly this file. It is false for a root that is not 32 bytes
// long. The keys that it derives are wiped.
func (r *Root) Authenticates(root []byte) bool { return r.file != nil && r.file.Authenticates(root) }

// public returns a deep copy without the file.
func (r *Root) public() Root {
	out := *r
	out.file = nil
	out.Protectors = append([]Protector(nil), r.Protectors...)
	for i := range out.Protectors {
		out.Protectors[i].Blob = append([]byte(nil), out.Protectors[i].Blob...)
	}
	return out
}
