package badger

import (
	"errors"
	"fmt"
	"os"
)

// spareDescriptors is how many files an open store has beside its tables, and some more:
// a merge of tables opens new ones before it closes the old ones.
const spareDescriptors = 32

// probe tries, with the system's own errors, what Badger is about to do in dir: Badger's
// errors do not say which fault of the system was behind them, and its failed Open keeps
// files open.
func probe(dir string) error {
	if err := probeWrite(dir); err != nil {
		return fmt.Errorf("keystore/badger: %w", err)
	}
	if err := probeDescriptors(dir); err != nil {
		return fmt.Errorf("keystore/badger: %w", err)
	}
	return nil
}

// probeWrite makes a file of the size of Badger's largest, syncs it and removes it. The
// file is sparse and takes no room.
func probeWrite(dir string) error {
	f, err := os.CreateTemp(dir, "probe-*")
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(2*memTableSize), f.Sync(), f.Close())
	return errors.Join(err, os.Remove(f.Name()), syncDir(dir))
}

// probeDescriptors opens as many files as an open store may have, and closes them. Each
// table is open twice: for Badger, and for the guard.
func probeDescriptors(dir string) error {
	names, err := files(dir)
	if err != nil {
		return err
	}
	var opened []*os.File
	defer func() {
		for _, f := range opened {
			f.Close()
		}
	}()
	for range spareDescriptors + 2*len(names[".sst"]) {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		opened = append(opened, f)
	}
	return nil
}
