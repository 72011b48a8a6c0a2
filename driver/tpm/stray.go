package tpm

import (
	"path/filepath"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Where the handles of a kind begin.
const (
	transients     tpm2.TPMHandle = 0x80000000
	loadedSessions tpm2.TPMHandle = 0x02000000
	savedSessions  tpm2.TPMHandle = 0x03000000
)

// alone lists the kinds of handles that nobody but this program can have in the TPM.
// Those that it does not know are strays: its own, from before it lost its connection or
// was killed. Behind a socket that is all. A device without a resource manager opens for
// one program at a time, and what users of the manager beside it load the kernel takes
// out after each of their commands; sessions that are saved may be theirs.
func (c Config) alone(conn transport.TPMCloser) []tpm2.TPMHandle {
	switch {
	case c.private():
		return []tpm2.TPMHandle{transients, loadedSessions, savedSessions}
	case unmanaged(conn):
		return []tpm2.TPMHandle{transients, loadedSessions}
	}
	return nil
}

// private reports whether a TPM is not behind the kernel, but this program's alone.
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

// flushStrays takes out of the TPM what this program has in it and does not know of.
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

// makeAllRoom takes out of the TPM whatever this program may.
func (d *device) makeAllRoom() {
	d.slots.evictAll(d)
	d.flushStrays() // what does not work now has the next attempt fail
}

// handles lists what is loaded, of the kind that first begins.
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
