package rootfile

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
)

// Copies are the two copies of the root file in a directory.
type Copies struct {
	dir   *directory.Dir
	vault [16]byte
	step  func(name string) error
}

// NewCopies returns the copies of a vault's root file. step is called before each step at which a
// crash may interrupt.
func NewCopies(d *directory.Dir, vault [16]byte, step func(name string) error) Copies {
	return Copies{d, vault, step}
}

// Settle makes both copies equal to b, from the files that Prepare wrote if prepared is set,
// and erases what a replacement leaves, but for Next. It may be repeated after any error: it does
// what is still to be done.
func (c Copies) Settle(b []byte, prepared bool) error {
	put := c.Put
	if prepared {
		put = c.place
	}
	for _, name := range []string{Name, Copy} {
		done, err := c.holds(name, b)
		if err == nil && !done {
			err = put(name, b)
		}
		if err != nil {
			return err
		}
	}
	if err := c.dir.Sync(); err != nil { // an earlier call may have failed after its rename
		return err
	}
	for _, name := range []string{Old, Name + ".new", Copy + ".new"} {
		if err := c.dropLeftover(name); err != nil {
			return err
		}
	}
	return nil
}

// Put replaces one copy, durably, and erases the replaced file.
func (c Copies) Put(name string, b []byte) error {
	if err := c.writeNew(name, b); err != nil {
		return err
	}
	return c.moveIn(name)
}

// place is Put for a file that Prepare has written. It needs no disk space.
func (c Copies) place(name string, b []byte) error {
	prepared, err := c.holds(name+".new", b)
	if err == nil && !prepared {
		err = c.writeNew(name, b)
	}
	if err != nil {
		return err
	}
	return c.moveIn(name)
}

// writeNew writes NAME.new and syncs it. It first erases the leftover of an interrupted
// replacement.
func (c Copies) writeNew(name string, b []byte) error {
	if err := c.step(name + " new"); err != nil {
		return err
	}
	if err := c.dropLeftover(name + ".new"); err != nil {
		return err
	}
	return c.dir.WriteSynced(name+".new", b)
}

// moveIn renames NAME.new to NAME, durably, and erases the replaced file. The name is
// missing for a moment, during which the other copy or root.next is there.
func (c Copies) moveIn(name string) error {
	for _, do := range []struct {
		step string
		run  func() error
	}{
		{name + " aside", func() error { return errors.Join(c.dropLeftover(Old), c.dir.RenameIfThere(name, Old)) }},
		{name, func() error { return c.dir.Rename(name+".new", name) }},
		{name + " sync", c.dir.Sync},
		{name + " erase", func() error { return c.dropLeftover(Old) }},
	} {
		if err := c.step(do.step); err != nil {
			return err
		}
		if err := do.run(); err != nil {
			return err
		}
	}
	return nil
}

// Prepare writes root.next, root.new and root.copy.new, durably, before a head names
// root.next. The steps that need disk space are therefore done while the replacement can
// still fail without a consequence.
func (c Copies) Prepare(b []byte) error {
	if err := c.step(Next); err != nil {
		return err
	}
	if err := c.dir.WriteSynced(Next, b); err != nil {
		return err
	}
	for _, name := range []string{Name, Copy} {
		if err := c.writeNew(name, b); err != nil {
			return err
		}
	}
	return c.dir.Sync()
}

// DropPrepared erases the files that Prepare writes. The next replacement or the next
// Open erases those that it could not.
func (c Copies) DropPrepared() error {
	return errors.Join(c.DropNext(), c.dropLeftover(Name+".new"), c.dropLeftover(Copy+".new"))
}

// holds reports whether a file has exactly the bytes b. A file that cannot be read does
// not have them, unless a shortage is the reason, which holds returns.
func (c Copies) holds(name string, b []byte) (bool, error) {
	found, err := c.dir.ReadBounded(name, MaxSize)
	if fault.IsShortage(err) {
		return false, err
	}
	return err == nil && bytes.Equal(found, b), nil
}

// DropNext erases root.next.
func (c Copies) DropNext() error {
	if err := c.step("drop " + Next); err != nil {
		return err
	}
	return c.dropLeftover(Next)
}

// dropLeftover erases a file left by a replacement of the root file. The name alone does
// not prove that it is one: the root file of another vault is set aside instead.
func (c Copies) dropLeftover(name string) error {
	r, err := Read(c.dir, name)
	if fault.IsShortage(err) {
		return err
	}
	if err == nil && r.VaultID != c.vault {
		return c.dir.SetAside(name)
	}
	return c.dir.Erase(name)
}

// Check returns ErrCorrupt if a copy has other bytes than b, and the error of a shortage that
// keeps it from being read.
func (c Copies) Check(b []byte) error {
	for _, name := range []string{Name, Copy} {
		same, err := c.holds(name, b)
		if err != nil {
			return fault.Environment("read", c.dir.Join(name), err)
		}
		if !same {
			return fmt.Errorf("%w: root file %q is not the one last written", fault.ErrCorrupt, name)
		}
	}
	return nil
}
