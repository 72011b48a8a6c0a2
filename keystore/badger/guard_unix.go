//go:build unix

package badger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"strongroom.example/keystore"
)

// guard holds the files of a store open beside Badger. So a file whose name was removed
// or given to another one while the store is open is noticed, and written again.
type guard struct {
	root *os.Root
	self *os.File // the directory
	held map[string]*os.File
	lost map[string]bool // names that were written again
}

func newGuard(dir string) (*guard, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	g := &guard{root: root, self: self, held: map[string]*os.File{}, lost: map[string]bool{}}
	names, err := g.names()
	if err != nil {
		return nil, errors.Join(err, g.end())
	}
	g.hold(names)
	return g, nil
}

// look is Intact.
func (g *guard) look(db *badger.DB) error {
	names, err := g.names()
	if err != nil {
		return nil // what cannot be seen is not known to be lost
	}
	var faults []error
	for _, name := range g.missing(names, db) {
		faults = append(faults, fmt.Errorf("%w: %s was removed, moved or replaced", keystore.ErrReplaced, filepath.Join(g.root.Name(), name)))
		if err := g.writeAgain(name); err != nil {
			faults = append(faults, err)
		}
	}
	g.hold(names)
	return errors.Join(faults...)
}

// names lists the files that the store may rely on.
func (g *guard) names() (names []string, err error) {
	if _, err := g.self.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	all, err := g.self.Readdirnames(-1)
	for _, name := range all {
		switch ext := filepath.Ext(name); {
		case ext == ".sst", ext == ".mem", ext == ".vlog", name == badger.ManifestFilename, name == badger.KeyRegistryFileName, name == redoFile:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// missing lists the held files whose names are gone or another file's, although Badger
// did not do that. It lets go of files that Badger removed or replaced.
func (g *guard) missing(names []string, db *badger.DB) (lost []string) {
	for name, f := range g.held {
		if g.lost[name] || g.isAt(name, f) {
			continue
		}
		if !g.needed(name, names, db) {
			f.Close()
			delete(g.held, name)
			continue
		}
		lost = append(lost, name)
	}
	return lost
}

// isAt reports whether a name is that of an open file.
func (g *guard) isAt(name string, f *os.File) bool {
	found, errFound := g.root.Lstat(name)
	want, errWant := f.Stat()
	if errFound != nil && !errors.Is(errFound, fs.ErrNotExist) || errWant != nil {
		return true // not known to be lost
	}
	return errFound == nil && os.SameFile(found, want)
}

// needed reports whether the store relies on a file. Badger removes tables that it has
// merged and logs that have become tables; it replaces MANIFEST when that has grown.
func (g *guard) needed(name string, names []string, db *badger.DB) bool {
	switch filepath.Ext(name) {
	case ".sst":
		id, _ := table.ParseFileID(name)
		return slices.ContainsFunc(db.Tables(), func(t badger.TableInfo) bool { return t.ID == id })
	case ".mem", ".vlog": // their numbers only grow
		return !slices.ContainsFunc(names, func(n string) bool { return filepath.Ext(n) == filepath.Ext(name) && n > name })
	}
	return name != badger.ManifestFilename || !g.listsTables(db)
}

// listsTables reports whether the MANIFEST that has the name lists what Badger has.
func (g *guard) listsTables(db *badger.DB) bool {
	f, err := g.root.Open(badger.ManifestFilename)
	if err != nil {
		return false
	}
	defer f.Close()
	listed, _, err := badger.ReplayManifestFile(f, 0, badger.Options{})
	if err != nil || len(listed.Tables) != len(db.Tables()) {
		return false
	}
	for _, t := range db.Tables() {
		if _, ok := listed.Tables[t.ID]; !ok {
			return false
		}
	}
	return true
}

// hold opens files that are new.
func (g *guard) hold(names []string) {
	for _, name := range names {
		if g.held[name] != nil || g.lost[name] {
			continue
		}
		if f, err := g.root.Open(name); err == nil {
			g.held[name] = f
		}
	}
}

// writeAgain copies a held file back to its name, durably. What stands there is set
// aside once, the first time.
func (g *guard) writeAgain(name string) error {
	if !g.lost[name] {
		if err := g.setAside(name); err != nil {
			return err
		}
	}
	g.lost[name] = true
	fresh := name + ".new"
	if err := g.root.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := g.root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	held := g.held[name]
	info, err := held.Stat()
	if err == nil {
		_, err = io.Copy(f, io.NewSectionReader(held, 0, info.Size()))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(g.root.Rename(fresh, name), g.self.Sync())
}

// setAside renames a file that is not the store's to a name that is free.
func (g *guard) setAside(name string) error {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.aside%d", name, n)
		if _, err := g.root.Lstat(aside); err == nil {
			continue
		}
		if err := g.root.Rename(name, aside); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
}

// prepareClose puts back the file over whose absence Badger's Close reports a fault. It
// holds nothing but the process id.
func (g *guard) prepareClose() {
	if f, err := g.root.OpenFile("LOCK", os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
		f.Close()
	}
}

// end writes again what changed in lost files while Badger closed, and lets go of all.
func (g *guard) end() error {
	var errs []error
	for name, f := range g.held {
		if g.lost[name] && (name == badger.ManifestFilename || name == redoFile) {
			errs = append(errs, g.writeAgain(name))
		}
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, g.self.Close(), g.root.Close())...)
}
