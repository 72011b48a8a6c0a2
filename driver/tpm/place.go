package tpm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// The persistent handles: where everybody keeps the SRK, and where this package puts it
// when that is taken by something else.
const (
	wellKnown  tpm2.TPMHandle = 0x81000001
	spareFirst tpm2.TPMHandle = 0x81000010
	spareLast  tpm2.TPMHandle = 0x8100001F
)

// A place is what is at a persistent handle: a storage root key, something that is unfit
// to be one, or nothing.
type place struct {
	at    tpm2.TPMHandle
	key   *storageKey
	unfit error
}

func (p place) free() bool { return p.key == nil && p.unfit == nil }

// findSRK adopts the storage root key of the TPM, or makes one. Once its name is known,
// from the configuration or since the driver was opened, it is that key wherever it is by
// now, or none.
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
		return nil, errOther // there is one, and to ask for the right one is not worth an authorization
	case errors.Is(err, errOwner) && first.unfit != nil:
		err = fmt.Errorf("%w; the key at 0x%X is unfit: %w", err, wellKnown, first.unfit)
	}
	return k, err
}

// wants reports whether a key can be the storage root key of this device.
func (d *device) wants(k *storageKey) bool {
	return k != nil && (d.pinned == "" || k.serial() == d.pinned)
}

// findSpare looks for the key where this package puts it if need be, and for the first
// place there that is free; 0: none is.
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

// look reads what is at a persistent handle. That comes outside of sessions, so the name
// and the area are held against each other, and what makes no sense is read once more: a
// bus may have spoilt it.
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

// Why a key cannot be the storage root key.
var (
	errNoStorage = errors.New("it is no storage key that stays in this TPM")
	errCountable = errors.New("it lacks noda")
	errForeigner = errors.New("its curve or cipher is not known here")
)

// unfit says why a key cannot be the storage root key, which never leaves the TPM, only
// stores, cannot lock the TPM, and has a public half that salts and imports are encrypted
// to. Nil: it can.
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
