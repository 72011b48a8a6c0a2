package tpm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// The persistent handles: the one that the TCG reserves for the SRK, and those where this
// package creates it if the first holds another object.
const (
	wellKnown  tpm2.TPMHandle = 0x81000001
	spareFirst tpm2.TPMHandle = 0x81000010
	spareLast  tpm2.TPMHandle = 0x8100001F
)

// A place is the content of a persistent handle: a storage root key, an object that is
// unfit to be one, or nothing.
type place struct {
	at    tpm2.TPMHandle
	key   *storageKey
	unfit error
}

func (p place) free() bool { return p.key == nil && p.unfit == nil }

// findSRK adopts or creates the storage root key of the TPM. If its name is known, from
// the configuration or because the driver was opened before, findSRK accepts only that
// key, at any of the handles.
func (d *device) findSRK() (*storageKey, error) {
	first, err := d.look(wellKnown)
	if err != nil || d.wants(first.key) {
		return first.key, err
	}
	if d.pinned == "" && first.free() {
		if k, err := d.createSRK(wellKnown); !errors.Is(err, errOwner) {
			return k, err
		}
	}
	home, k, err := d.findSpare()
	if err != nil || k != nil {
		return k, err
	}
	if first.free() {
		home = wellKnown
	}
	if home == 0 {
		return nil, fmt.Errorf("the persistent handles 0x%X and 0x%X to 0x%X all hold keys that are no storage root keys: free one with tpm2_evictcontrol", wellKnown, spareFirst, spareLast)
	}
	k, err = d.createSRK(home)
	switch {
	case errors.Is(err, errOwner) && first.key != nil:
		return nil, errOther // another SRK exists, and the pinned one does not justify asking for an authorization
	case errors.Is(err, errOwner) && first.unfit != nil:
		err = fmt.Errorf("%w; the key at 0x%X is unfit: %w", err, wellKnown, first.unfit)
	}
	return k, err
}

// wants reports whether a key can be the storage root key of this device.
func (d *device) wants(k *storageKey) bool {
	return k != nil && (d.pinned == "" || k.serial() == d.pinned)
}

// findSpare looks for the storage root key at the spare handles. If it is not there
// findSpare returns the first free spare handle, or 0 if none is free.
func (d *device) findSpare() (free tpm2.TPMHandle, k *storageKey, err error) {
	taken, err := d.handles(spareFirst)
	if err != nil {
		return 0, nil, err
	}
	for at := spareLast; at >= spareFirst; at-- {
		if !slices.Contains(taken, at) {
			free = at
		}
	}
	for _, at := range taken {
		if at > spareLast {
			break
		}
		if p, err := d.look(at); err != nil || d.wants(p.key) {
			return 0, p.key, err
		}
	}
	return free, nil, nil
}

// look reads the public area at a persistent handle. The command runs outside of
// sessions, so look checks that the name matches the area, and reads once more if they do
// not or if the area is malformed, because an error on the bus can have altered it.
func (d *device) look(at tpm2.TPMHandle) (place, error) {
	p, err := d.lookOnce(at)
	if errors.Is(err, errResponse) || errors.Is(err, errNoStorage) {
		p, err = d.lookOnce(at)
	}
	if errors.Is(err, errNoStorage) {
		return place{at: at, unfit: err}, nil
	}
	return p, err
}

func (d *device) lookOnce(at tpm2.TPMHandle) (place, error) {
	p := place{at: at}
	rsp, err := tpm2.ReadPublic{ObjectHandle: at}.Execute(&d.link)
	if base(codeOf(err)) == tpm2.TPMRCHandle {
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
		return p, errResponse
	}
	if p.unfit = unfit(public); p.unfit == nil {
		p.key = &storageKey{entity: entity{at, name.Buffer}, public: *public}
	}
	return p, nil
}

// The reasons why a key cannot be the storage root key.
var (
	errNoStorage = errors.New("it is no storage key that stays in this TPM")
	errCountable = errors.New("it lacks noda")
	errForeigner = errors.New("its curve or cipher is not known here")
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
		return errCountable
	}
	key, err := tpm2.ImportEncapsulationKey(p)
	if err != nil {
		return errForeigner
	}
	if _, err := storageSize(key.SymmetricParameters()); err != nil {
		return errForeigner
	}
	return nil
}
