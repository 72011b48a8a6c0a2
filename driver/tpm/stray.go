package tpm

import (
	"path/filepath"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// The first handle of each kind.
const (
	transients     tpm2.TPMHandle = 0x80000000
	loadedSessions tpm2.TPMHandle = 0x02000000
	savedSessions  tpm2.TPMHandle = 0x03000000
)

// alone returns the kinds of handles that only this program can have in the TPM. Handles
// of these kinds that the driver does not know are strays: its own, from before it lost
// its connection or was killed. Behind a socket these are all kinds. A device without a
// resource manager opens for one program at a time, and the kernel unloads the objects of
// the resource manager's users after each of their commands; saved sessions may belong to
// those users.
func (c Config) alone(conn transport.TPMCloser) []tpm2.TPMHandle {
	switch {
	case c.private():
		return []tpm2.TPMHandle{transients, loadedSessions, savedSessions}
	case unmanaged(conn):
		return []tpm2.TPMHandle{transients, loadedSessions}
	}
	return nil
}

// private reports whether the TPM serves this program only, and is not behind the kernel.
func (c Config) private() bool {
	return c.Dial != nil || strings.HasPrefix(c.Device, "unix:") || strings.HasPrefix(c.Device, "tcp:")
}

// unmanaged reports whether a connection is to a device without a resource manager, such
// as /dev/tpm0.
func unmanaged(conn transport.TPMCloser) bool {
	named, ok := conn.(interface{ Name() string })
	if !ok {
		return false
	}
	number, ok := strings.CutPrefix(filepath.Base(named.Name()), "tpm")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// flushStrays flushes every stray handle.
func (d *device) flushStrays() error {
	for _, kind := range d.cfg.alone(d.link.conn) {
		handles, err := d.handles(kind)
		if err != nil {
			return err
		}
		for _, h := range handles {
			if !d.session.has(h) && !d.second.has(h) {
				d.flush(h)
			}
		}
	}
	return nil
}

// makeAllRoom flushes everything that this program may flush.
func (d *device) makeAllRoom() {
	d.slots.evictAll(d)
	d.flushStrays() // if this fails, the next attempt does too and reports it
}

// handles lists the loaded handles of the kind that begins at first.
func (d *device) handles(first tpm2.TPMHandle) ([]tpm2.TPMHandle, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(first), PropertyCount: 64}.Execute(&d.link)
	if err != nil {
		return nil, err
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		return nil, err
	}
	return list.Handle, nil
}
