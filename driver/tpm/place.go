package tpm

import (
	"errors"
	"fmt"

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

// findSRK adopts the storage root key of the TPM, or makes one.
func (d *device) findSRK() (*storageKey, error) {
	first, err := d.look(wellKnown)
	if err != nil || first.key != nil {
		return first.key, err
	}
	home := first
	for at := spareFirst; !home.free() && at <= spareLast; at++ {
		if home, err = d.look(at); err != nil || home.key != nil {
			return home.key, err
		}
	}
	if !home.free() {
		return nil, fmt.Errorf("the persistent handles 0x%X and 0x%X to 0x%X all hold keys that are no storage root keys: free one with tpm2_evictcontrol", wellKnown, spareFirst, spareLast)
	}
	k, err := d.createSRK(home.at)
	if errors.Is(err, errOwner) && first.unfit != nil {
		err = fmt.Errorf("%w; the key at 0x%X is unfit: %w", err, wellKnown, first.unfit)
	}
	return k, err
}

// look reads what is at a persistent handle.
func (d *device) look(at tpm2.TPMHandle) (place, error) {
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
		p.unfit = errNoStorage
		return p, nil
	}
	if p.unfit = unfit(public); p.unfit != nil {
		return p, nil
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		p.unfit = errNoStorage
		return p, nil
	}
	p.key = &storageKey{entity: entity{at, name.Buffer}, public: *public}
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
