package tpm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver/tpm/internal/object"
	"strongroom.example/driver/tpm/internal/wire"
)

// The persistent handles: the one that the TCG reserves for the SRK, and those where this
// package creates it if the first holds another object.
const (
	reservedSRK   tpm2.TPMHandle = 0x81000001
	fallbackFirst tpm2.TPMHandle = 0x81000010
	fallbackLast  tpm2.TPMHandle = 0x8100001F
)

// A persistentObject is the content of a persistent handle: a storage root key, an object
// that is unfit to be one, or nothing.
type persistentObject struct {
	at    tpm2.TPMHandle
	key   *storageKey
	unfit error
}

func (p persistentObject) free() bool { return p.key == nil && p.unfit == nil }

// findSRK adopts or creates the storage root key of the TPM. If its name is known, from
// the configuration or because the driver was opened before, findSRK accepts only that
// key, at any of the handles.
func (d *device) findSRK() (*storageKey, error) {
	first, err := d.readPersistent(reservedSRK)
	if err != nil || d.acceptsSRK(first.key) {
		return first.key, err
	}
	if d.pinned == "" && first.free() {
		if k, err := d.createSRK(reservedSRK); !errors.Is(err, errNeedsOwner) {
			return k, err
		}
	}
	home, k, err := d.searchFallbacks()
	if err != nil || k != nil {
		return k, err
	}
	if first.free() {
		home = reservedSRK
	}
	if home == 0 {
		return nil, fmt.Errorf("the persistent handles 0x%X and 0x%X to 0x%X all hold keys that are no storage root keys: free one with tpm2_evictcontrol", reservedSRK, fallbackFirst, fallbackLast)
	}
	k, err = d.createSRK(home)
	switch {
	case errors.Is(err, errNeedsOwner) && first.key != nil:
		return nil, errOther // another SRK exists, and the pinned one does not justify asking for an authorization
	case errors.Is(err, errNeedsOwner) && first.unfit != nil:
		err = fmt.Errorf("%w; the key at 0x%X is unfit: %w", err, reservedSRK, first.unfit)
	}
	return k, err
}

// acceptsSRK reports whether a key can be the storage root key of this device.
func (d *device) acceptsSRK(k *storageKey) bool {
	return k != nil && (d.pinned == "" || k.serial() == d.pinned)
}

// searchFallbacks looks for the storage root key at the fallback handles. If it is not there
// searchFallbacks returns the first free fallback handle, or 0 if none is free.
func (d *device) searchFallbacks() (free tpm2.TPMHandle, k *storageKey, err error) {
	taken, err := d.handles(fallbackFirst)
	if err != nil {
		return 0, nil, err
	}
	for at := fallbackLast; at >= fallbackFirst; at-- {
		if !slices.Contains(taken, at) {
			free = at
		}
	}
	for _, at := range taken {
		if at > fallbackLast {
			break
		}
		if p, err := d.readPersistent(at); err != nil || d.acceptsSRK(p.key) {
			return 0, p.key, err
		}
	}
	return free, nil, nil
}

// readPersistent reads the public area at a persistent handle. The command runs outside
// of sessions, so readPersistent checks that the name matches the area, and reads once
// more if they do not or if the area is malformed, because an error on the bus can have
// altered it.
func (d *device) readPersistent(at tpm2.TPMHandle) (persistentObject, error) {
	p, err := d.readPersistentOnce(at)
	if errors.Is(err, wire.ErrResponse) || errors.Is(err, errNoStorage) {
		p, err = d.readPersistentOnce(at)
	}
	if errors.Is(err, errNoStorage) {
		return persistentObject{at: at, unfit: err}, nil
	}
	return p, err
}

func (d *device) readPersistentOnce(at tpm2.TPMHandle) (persistentObject, error) {
	p := persistentObject{at: at}
	rsp, err := tpm2.ReadPublic{ObjectHandle: at}.Execute(&d.link)
	if wire.Base(wire.CodeOf(err)) == tpm2.TPMRCHandle {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		return p, errNoStorage
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return p, errNoStorage
	}
	if !bytes.Equal(name.Buffer, rsp.Name.Buffer) {
		return p, wire.ErrResponse
	}
	if p.unfit = unfit(public); p.unfit == nil {
		p.key = &storageKey{Entity: wire.Entity{Handle: at, Name: name.Buffer}, public: *public}
	}
	return p, nil
}

// The reasons why a key cannot be the storage root key.
var (
	errNoStorage     = errors.New("it is no storage key that stays in this TPM")
	errLockable      = errors.New("it lacks noda")
	errUnknownCipher = errors.New("its curve or cipher is not known here")
)

// unfit returns why a key cannot be the storage root key, or nil if it can. The storage
// root key must never leave the TPM, must only store, must not be able to lock the TPM,
// and must have a public key to which salts and imports can be encrypted.
func unfit(p *tpm2.TPMTPublic) error {
	a := p.ObjectAttributes
	if p.NameAlg != tpm2.TPMAlgSHA256 || !a.Restricted || !a.Decrypt || a.SignEncrypt || !a.FixedTPM || !a.FixedParent || !a.UserWithAuth {
		return errNoStorage
	}
	if !a.NoDA {
		return errLockable
	}
	key, err := tpm2.ImportEncapsulationKey(p)
	if err != nil {
		return errUnknownCipher
	}
	if _, err := object.StorageSize(key.SymmetricParameters()); err != nil {
		return errUnknownCipher
	}
	return nil
}
