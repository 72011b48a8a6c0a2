package tpm

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// counterIndex finds the counter.
func (d *device) counterIndex() (entity, error) {
	public, e, err := d.readIndex()
	switch {
	case err != nil:
		return e, err
	case public == nil:
		return e, fault("TPM2_NV_ReadPublic", driver.NotFound, errNoCounter)
	}
	return e, nil
}

// readIndex reads what is at the counter's place; nil if there is nothing. That comes
// outside of sessions, so the name is held to the public area, and both are read once more
// if a bus has spoilt one.
func (d *device) readIndex() (*tpm2.TPMSNVPublic, entity, error) {
	public, e, err := d.readIndexOnce()
	if errors.Is(err, errResponse) {
		return d.readIndexOnce()
	}
	return public, e, err
}

func (d *device) readIndexOnce() (*tpm2.TPMSNVPublic, entity, error) {
	at := tpm2.TPMHandle(d.cfg.Counter)
	rsp, err := tpm2.NVReadPublic{NVIndex: at}.Execute(&d.link)
	if base(codeOf(err)) == tpm2.TPMRCHandle {
		return nil, entity{}, nil
	}
	if err != nil {
		return nil, entity{}, err
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, entity{}, errResponse
	}
	name, err := tpm2.NVName(public)
	if err != nil || !bytes.Equal(name.Buffer, rsp.NVName.Buffer) {
		return nil, entity{}, errResponse
	}
	return public, entity{at, name.Buffer}, nil
}

// counterArea is an index that only counts, for whoever may use the TPM: a stranger can
// push it on, never back. Its policy is random and allows nothing; it is what makes
// the name of the index unique.
func counterArea(at tpm2.TPMHandle) tpm2.TPMSNVPublic {
	policy := make([]byte, 32)
	rand.Read(policy)
	return tpm2.TPMSNVPublic{
		NVIndex: at,
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			AuthRead: true, AuthWrite: true, NoDA: true,
			NT: tpm2.TPMNTCounter,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		DataSize:   counterSize,
	}
}

// defineCounter adopts the counter, or makes it. It counts once at the start, since
// only then is it readable and has its final name.
func (d *device) defineCounter() error {
	public, _, err := d.readIndex()
	if err != nil {
		return err
	}
	if public == nil {
		if err := d.makeCounter(); err != nil {
			return err
		}
		return d.incrementCounter()
	}
	a := public.Attributes
	if a.NT != tpm2.TPMNTCounter || !a.AuthRead || !a.AuthWrite || !a.NoDA || public.DataSize != counterSize {
		return fault("TPM2_NV_ReadPublic", driver.Denied,
			fmt.Errorf("the NV index 0x%X is taken by something that is no counter of this program's; set Config.Counter to another, such as 0x%X", d.cfg.Counter, d.cfg.Counter+1))
	}
	if !a.Written {
		return d.incrementCounter()
	}
	return nil
}

func (d *device) makeCounter() error {
	_, err := tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: d.session.hiding(d.cfg.OwnerAuth)},
		PublicInfo: tpm2.New2B(counterArea(tpm2.TPMHandle(d.cfg.Counter))),
	}.Execute(&d.link)
	if refusal(codeOf(err)) {
		return fault("TPM2_NV_DefineSpace", driver.Denied,
			errors.New("the TPM has no such counter, and its owner set an authorization: set Config.OwnerAuth"))
	}
	return err
}

func (d *device) incrementCounter() error {
	e, err := d.counterIndex()
	if err != nil {
		return err
	}
	_, err = tpm2.NVIncrement{
		AuthHandle: tpm2.AuthHandle{Handle: e.handle, Name: tpm2.TPM2BName{Buffer: e.name}, Auth: d.session.with(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: e.handle, Name: tpm2.TPM2BName{Buffer: e.name}},
	}.Execute(&d.link)
	return err
}

func (d *device) readCounter() (uint64, error) {
	e, err := d.counterIndex()
	if err != nil {
		return 0, err
	}
	rsp, err := tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: e.handle, Name: tpm2.TPM2BName{Buffer: e.name}, Auth: d.session.with(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: e.handle, Name: tpm2.TPM2BName{Buffer: e.name}},
		Size:       counterSize,
	}.Execute(&d.link)
	if err != nil {
		return 0, err
	}
	if len(rsp.Data.Buffer) != counterSize {
		return 0, errResponse
	}
	return binary.BigEndian.Uint64(rsp.Data.Buffer), nil
}
