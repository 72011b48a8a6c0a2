package tpm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver/tpm/internal/transport"
	"strongroom.example/driver/tpm/internal/wire"
)

// A storageKey is the parent of all other keys. Its authorization value is empty: a key
// is protected by being wrapped under the storage root key of this TPM.
type storageKey struct {
	wire.Entity
	public tpm2.TPMTPublic
	// context is the saved context of a key that is not persistent. Such a key takes one
	// of the TPM's few object slots while it is loaded.
	context []byte
}

// errNeedsOwner reports that the storage root key does not exist and only the owner can
// create it. The message names the attributes, because tpm2_createprimary without them
// makes a key that can lock the TPM.
var errNeedsOwner = errors.New("the TPM has no storage root key, and its owner set an authorization: set Config.OwnerAuth, or have the owner make the key (tpm2_createprimary -C o -G ecc -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt' -c srk.ctx, then tpm2_evictcontrol -C o -c srk.ctx")

// serial returns the key's name in hexadecimal, which identifies the TPM.
func (k *storageKey) serial() string { return hex.EncodeToString(k.Name) }

// explainSRKAuth returns the error for a storage root key that has an authorization
// value. If the session is out of step with the TPM, the cause may be that instead, and
// explainSRKAuth returns err.
func (d *device) explainSRKAuth(err error) error {
	var random [1]byte
	if !wire.AuthRefused(wire.CodeOf(err)) || d.random(random[:]) != nil {
		return err
	}
	return fmt.Errorf("the storage root key at 0x%X has an authorization, and this program gives none: have its owner free the place (tpm2_evictcontrol -C o -c 0x%[1]X), then one without is made there (%w)", d.srk.Handle, err)
}

// template returns the template of the storage root key of the TCG's provisioning
// guidance ("H", with an empty unique field), which other programs use too, so that all
// derive the same key from one TPM.
func template() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}

// createSRK creates the storage root key, which is the same at every creation until the
// TPM is cleared, and makes it persistent. If the TPM refuses that, the key stays
// transient, and is loaded whenever it is needed.
func (d *device) createSRK(at tpm2.TPMHandle) (*storageKey, error) {
	// There is no storage key yet to which a session can be salted. createSRK makes a
	// temporary one in the null hierarchy, which has no authorization.
	salt, err := d.createPrimary(tpm2.AuthHandle{Handle: tpm2.TPMRHNull, Auth: tpm2.PasswordAuth(nil)})
	if err != nil {
		return nil, err
	}
	defer d.flush(salt.Handle)
	s, err := wire.StartSession(&d.link, d.arena, wire.SessionKind{Type: tpm2.TPMSEHMAC, SaltKey: salt.Handle, SaltPublic: &salt.public})
	if err != nil {
		return nil, err
	}
	defer s.Free()
	defer d.flush(s.Handle)
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: s.Authorized(d.cfg.OwnerAuth)}
	k, err := d.createPrimary(owner)
	if wire.AuthRefused(wire.CodeOf(err)) {
		return nil, fmt.Errorf("%w 0x%X) (%w)", errNeedsOwner, at, err)
	}
	if err != nil {
		return nil, err
	}
	defer d.flush(k.Handle)
	if !d.acceptsSRK(k) {
		return nil, errOther
	}
	return d.persist(k, owner, at)
}

// persist makes a primary key persistent, and accepts that another program has just done so.
// If the TPM refuses, persist saves the context of the key.
func (d *device) persist(k *storageKey, owner tpm2.AuthHandle, at tpm2.TPMHandle) (*storageKey, error) {
	_, err := tpm2.EvictControl{
		Auth:             owner,
		ObjectHandle:     &tpm2.NamedHandle{Handle: k.Handle, Name: tpm2.TPM2BName{Buffer: k.Name}},
		PersistentHandle: at,
	}.Execute(&d.link)
	if err == nil {
		k.Handle = at
		return k, nil
	}
	if wire.CodeOf(err) == 0 {
		return nil, err
	}
	if wire.CodeOf(err) == tpm2.TPMRCNVDefined {
		there, err := d.readPersistent(at)
		if err != nil || there.key != nil && bytes.Equal(there.key.Name, k.Name) {
			return there.key, err
		}
	}
	k.context, err = d.save(k.Handle)
	k.Handle = 0
	return k, err
}

// createPrimary creates the storage key of a hierarchy.
func (d *device) createPrimary(hierarchy tpm2.AuthHandle) (*storageKey, error) {
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template())}.Execute(&d.link)
	if err != nil {
		return nil, err
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		return nil, err
	}
	return &storageKey{Entity: wire.Entity{Handle: rsp.ObjectHandle, Name: rsp.Name.Buffer}, public: *public}, nil
}

// withSRK calls act while the storage root key has a handle. If its saved context does
// not load, the TPM was reset or cleared, and withSRK returns a lostError, which makes
// the driver connect again.
func (d *device) withSRK(act func(parent wire.Entity) error) error {
	if d.srk.context == nil {
		return act(d.srk.Entity)
	}
	handle, err := d.restore(d.srk.context)
	if code := wire.CodeOf(err); code != 0 && wire.ActionOf(code) == wire.Report {
		return &transport.LostError{Err: fmt.Errorf("the saved storage root key does not load: %v", err)}
	}
	if err != nil {
		return err
	}
	defer d.flush(handle)
	return act(wire.Entity{Handle: handle, Name: d.srk.Name})
}
