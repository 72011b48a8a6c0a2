package tpm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
)

var _ driver.Counter = (*Driver)(nil)

var errNoCounter = errors.New("the counter is gone: the TPM was cleared, or somebody deleted it")

const counterSize = 8

// Identity returns the name of the NV index in hexadecimal. The name of a counter that
// this driver created has a random part, so that a counter that was deleted and created
// again has another identity.
func (d *Driver) Identity(ctx context.Context) (string, error) {
	var identity string
	err := d.withCounter(ctx, "TPM2_NV_ReadPublic", func(dev *device) error {
		e, err := dev.counterIndex()
		identity = hex.EncodeToString(e.Name)
		return err
	})
	return identity, err
}

// Read returns the count. The first counter of a TPM starts at 1; a later one starts
// above the highest count that any counter of that TPM has had.
func (d *Driver) Read(ctx context.Context) (uint64, error) {
	var value uint64
	err := d.withCounter(ctx, "TPM2_NV_Read", func(dev *device) (err error) {
		value, err = dev.readCounter()
		return err
	})
	return value, err
}

// Increment adds one to the counter and returns the new count. A chip's NV memory lasts
// for about half a million increments. If the connection is lost during the call, the
// driver reads the counter before it repeats anything, so that one call never counts
// twice. If the TPM cannot be reached again the error is Unknown.
func (d *Driver) Increment(ctx context.Context) (uint64, error) {
	const op = "TPM2_NV_Increment"
	var before, after uint64
	begun := false
	err := d.withCounter(ctx, op, func(dev *device) (err error) {
		now, err := dev.readCounter()
		if err != nil {
			return err
		}
		if begun && now != before {
			after = now
			return nil
		}
		before, begun = now, true
		if err := dev.incrementCounter(); err != nil {
			return err
		}
		after, err = dev.readCounter()
		return err
	})
	if begun && errors.Is(err, driver.Unavailable) {
		err = fault(op, driver.Unknown, err)
	}
	return after, err
}

// withCounter runs act on the TPM, if a counter is configured.
func (d *Driver) withCounter(ctx context.Context, op string, act func(*device) error) error {
	if err := d.enter(ctx, op); err != nil {
		return err
	}
	defer d.gate.Leave()
	if !d.info.Counter {
		return fault(op, driver.Unsupported, errors.New("Config.Counter names no NV index"))
	}
	return d.do(ctx, op, queue.Ordinary, act)
}

// counterIndex returns the NV index of the counter, or a NotFound error.
func (d *device) counterIndex() (wire.Entity, error) {
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
func (d *device) readIndex() (*tpm2.TPMSNVPublic, wire.Entity, error) {
	public, e, err := d.readIndexOnce()
	if errors.Is(err, wire.ErrResponse) {
		return d.readIndexOnce()
	}
	return public, e, err
}

func (d *device) readIndexOnce() (*tpm2.TPMSNVPublic, wire.Entity, error) {
	at := tpm2.TPMHandle(d.cfg.Counter)
	rsp, err := tpm2.NVReadPublic{NVIndex: at}.Execute(&d.link)
	if wire.Base(wire.CodeOf(err)) == tpm2.TPMRCHandle {
		return nil, wire.Entity{}, nil
	}
	if err != nil {
		return nil, wire.Entity{}, err
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, wire.Entity{}, wire.ErrResponse
	}
	name, err := tpm2.NVName(public)
	if err != nil || !bytes.Equal(name.Buffer, rsp.NVName.Buffer) {
		return nil, wire.Entity{}, wire.ErrResponse
	}
	return public, wire.Entity{Handle: at, Name: name.Buffer}, nil
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
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: d.session.Encrypted(d.cfg.OwnerAuth)},
		PublicInfo: tpm2.New2B(counterArea(tpm2.TPMHandle(d.cfg.Counter))),
	}.Execute(&d.link)
	if wire.AuthRefused(wire.CodeOf(err)) {
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
		AuthHandle: tpm2.AuthHandle{Handle: e.Handle, Name: tpm2.TPM2BName{Buffer: e.Name}, Auth: d.session.Authorized(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: e.Handle, Name: tpm2.TPM2BName{Buffer: e.Name}},
	}.Execute(&d.link)
	return err
}

func (d *device) readCounter() (uint64, error) {
	e, err := d.counterIndex()
	if err != nil {
		return 0, err
	}
	rsp, err := tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: e.Handle, Name: tpm2.TPM2BName{Buffer: e.Name}, Auth: d.session.Authorized(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: e.Handle, Name: tpm2.TPM2BName{Buffer: e.Name}},
		Size:       counterSize,
	}.Execute(&d.link)
	if err != nil {
		return 0, err
	}
	if len(rsp.Data.Buffer) != counterSize {
		return 0, wire.ErrResponse
	}
	return binary.BigEndian.Uint64(rsp.Data.Buffer), nil
}
