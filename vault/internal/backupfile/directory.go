package backupfile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The name of a backup is the vault's id, a hyphen, its time in TimeFormat and Suffix.
const (
	Suffix     = ".srbackup"
	TimeFormat = "20060102T150405.000000000Z"
)

// A Directory has the scheduled backups of one vault. Several vaults may share it.
type Directory struct {
	Path  string
	Vault string // id of the vault
}

// Saved is a complete backup in a directory.
type Saved struct {
	Path    string
	Created time.Time
}

// Name returns the name of the backup of a time, which is the vault's confirmed time, so that
// the order of the names is that of the backups.
func (d Directory) Name(created time.Time) string {
	return d.Vault + "-" + created.Format(TimeFormat) + Suffix
}

// Partial returns the path of a backup that is not complete.
func (d Directory) Partial() string { return filepath.Join(d.Path, d.Vault+".partial") }

// List lists the vault's complete backups of the time until now, the newest first. A later
// backup was made by a wrong clock: it neither counts nor is removed.
func (d Directory) List(now time.Time) ([]Saved, error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, err
	}
	var all []Saved
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), d.Vault+"-")
		text, complete := strings.CutSuffix(rest, Suffix)
		created, err := time.Parse(TimeFormat, text)
		if ours && complete && err == nil && !created.After(now) && e.Type().IsRegular() {
			all = append(all, Saved{filepath.Join(d.Path, e.Name()), created})
		}
	}
	slices.SortFunc(all, func(a, b Saved) int { return b.Created.Compare(a.Created) })
	return all, nil
}

// Complete gives a partial backup its name, and makes that durable.
func (d Directory) Complete(created time.Time) (Saved, error) {
	made := Saved{filepath.Join(d.Path, d.Name(created)), created}
	if err := os.Rename(d.Partial(), made.Path); err != nil {
		return Saved{}, errors.Join(err, os.Remove(d.Partial()))
	}
	return made, SyncDirectory(d.Path)
}

// RemoveOld removes the backups that are not to be kept: all but the newest keep, if they are
// older than keepFor. The newest is always kept.
func (d Directory) RemoveOld(now time.Time, keep int, keepFor time.Duration) error {
	all, err := d.List(now)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range all[min(len(all), keep):] {
		if now.Sub(f.Created) >= keepFor {
			errs = append(errs, os.Remove(f.Path))
		}
	}
	return errors.Join(errs...)
}

// SyncDirectory makes the names in a directory durable, where the system can do that.
func SyncDirectory(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
