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

// counterIndex returns the NV index of the counter, or a NotFound error.
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

// readIndex reads the public area of the counter's index; nil if there is no index. The
// command runs outside of sessions, so readIndex checks that the name matches the area,
// and reads both once more if they do not, because an error on the bus can have altered
// one.
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

// counterArea returns the public area of an NV index that can only be incremented. Any
// program that can use the TPM may increment it, and none can set it back. Its policy is
// a random digest that authorizes nothing; it makes the name of the index unique.
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

// defineCounter adopts the counter, or creates it. It increments a new counter once,
// because only then the index can be read and has its final name.
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
