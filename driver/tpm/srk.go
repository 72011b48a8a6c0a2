package tpm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// A storageKey is the key under which all others are wrapped. Its authorization is
// empty, so that what protects a key is that it is under this TPM's.
type storageKey struct {
	entity
	public tpm2.TPMTPublic
	// context is the saved form of a key that is not persistent. It takes one of the
	// TPM's few slots while it is loaded.
	context []byte
}

// errOwner is why there is no storage root key where the owner must make it. Without
// these attributes tpm2_createprimary makes a key that can lock the TPM.
var errOwner = errors.New("the TPM has no storage root key, and its owner set an authorization: set Config.OwnerAuth, or have the owner make the key (tpm2_createprimary -C o -G ecc -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt' -c srk.ctx, then tpm2_evictcontrol -C o -c srk.ctx")

// serial is the key's name in hexadecimal: the identity of this TPM.
func (k *storageKey) serial() string { return hex.EncodeToString(k.name) }

// guarded says what it means that the storage root key does not take the empty
// authorization, in a session that is in step with the TPM.
func (d *device) guarded(err error) error {
	var random [1]byte
	if !refusal(codeOf(err)) || d.random(random[:]) != nil {
		return err
	}
	return fmt.Errorf("the storage root key at 0x%X has an authorization, and this program gives none: have its owner free the place (tpm2_evictcontrol -C o -c 0x%[1]X), then one without is made there (%w)", d.srk.handle, err)
}

// template is the storage root key that the TCG's guidance and other programs make
// ("H": with an empty unique), so that all derive the same key from one TPM.
func template() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}

// createSRK makes the storage root key, which is always the same in a TPM that was not
// cleared, and keeps it at a persistent handle. Where that is refused the key stays
// transient, and is loaded when it is needed.
func (d *device) createSRK(at tpm2.TPMHandle) (*storageKey, error) {
	// There is no key yet to salt a session to, so one is made that lasts until then; the
	// hierarchy in which that is done has no authorization.
	salt, err := d.primary(tpm2.AuthHandle{Handle: tpm2.TPMRHNull, Auth: tpm2.PasswordAuth(nil)})
	if err != nil {
		return nil, err
	}
	defer d.flush(salt.handle)
	s, err := startSession(&d.link, d.arena, sessionKind{tpm2.TPMSEHMAC, salt})
	if err != nil {
		return nil, err
	}
	defer s.drop()
	defer d.flush(s.handle)
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: s.with(d.cfg.OwnerAuth)}
	k, err := d.primary(owner)
	if refusal(codeOf(err)) {
		return nil, fmt.Errorf("%w 0x%X) (%w)", errOwner, at, err)
	}
	if err != nil {
		return nil, err
	}
	defer d.flush(k.handle)
	if !d.wants(k) {
		return nil, errOther
	}
	return d.keep(k, owner, at)
}

// keep makes a primary key persistent, unless somebody just did, or has it saved.
func (d *device) keep(k *storageKey, owner tpm2.AuthHandle, at tpm2.TPMHandle) (*storageKey, error) {
	_, err := tpm2.EvictControl{
		Auth:             owner,
		ObjectHandle:     &tpm2.NamedHandle{Handle: k.handle, Name: tpm2.TPM2BName{Buffer: k.name}},
		PersistentHandle: at,
	}.Execute(&d.link)
	if err == nil {
		k.handle = at
		return k, nil
	}
	if codeOf(err) == 0 {
		return nil, err
	}
	if codeOf(err) == tpm2.TPMRCNVDefined {
		there, err := d.look(at)
		if err != nil || there.key != nil && bytes.Equal(there.key.name, k.name) {
			return there.key, err
		}
	}
	k.context, err = d.save(k.handle)
	k.handle = 0
	return k, err
}

// primary makes the storage key of a hierarchy.
func (d *device) primary(hierarchy tpm2.AuthHandle) (*storageKey, error) {
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template())}.Execute(&d.link)
	if err != nil {
		return nil, err
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		return nil, err
	}
	return &storageKey{entity: entity{rsp.ObjectHandle, rsp.Name.Buffer}, public: *public}, nil
}

// withSRK runs something while the storage root key has a handle. Where its saved form
// does not load, the TPM was reset or cleared, and is found anew.
func (d *device) withSRK(act func(parent entity) error) error {
	if d.srk.context == nil {
		return act(d.srk.entity)
	}
	handle, err := d.restore(d.srk.context)
	if code := codeOf(err); code != 0 && remedyOf(code) == surface {
		return &lostError{fmt.Errorf("the saved storage root key does not load: %v", err)}
	}
	if err != nil {
		return err
	}
	defer d.flush(handle)
	return act(entity{handle, d.srk.name})
}
