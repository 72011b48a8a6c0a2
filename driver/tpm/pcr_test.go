package tpm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

const pcrReadCommand = 0x17E

// TestPCRValuesAreTheTPMs changes each byte of the response to TPM2_PCR_Read, as an
// interposer on the bus can. The driver must not seal to another state than the TPM's.
// Only after a changed response code it may try again.
func TestPCRValuesAreTheTPMs(t *testing.T) {
	bus := new(corrupter)
	s := testtoken.NewSWTPM(t)
	d, err := tpm.Open(t.Context(), bus.config(s))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := protector(t, d, tpm.Policy{PCRs: []uint{7}})
	ctx, root := context.Background(), make([]byte, 32)
	length := 0
	bus.corrupt(pcrReadCommand, func(rsp []byte) []byte { length = len(rsp); return rsp })
	want, err := d.ReadPCRs(ctx, 7)
	if err != nil || length < 10+4+4+10+4+2+32 {
		t.Fatalf("ReadPCRs: %v, a response of %d bytes", err, length)
	}
	for at := range length {
		bus.corrupt(pcrReadCommand, func(rsp []byte) []byte { rsp[at] ^= 1; return rsp })
		if blob, err := p.Protect(ctx, binding, root); err == nil { // after another attempt
			opens(t, p, root, blob, fmt.Sprintf("byte %d changed: what Protect sealed", at))
		}
		bus.corrupt(pcrReadCommand, func(rsp []byte) []byte { rsp[at] ^= 1; return rsp })
		if got, err := d.ReadPCRs(ctx, 7); err == nil && got[7] != want[7] {
			t.Errorf("byte %d changed: ReadPCRs: %x, want %x or an error", at, got, want)
		}
	}
	if got, err := d.ReadPCRs(ctx, 7); err != nil || got[7] != want[7] {
		t.Errorf("ReadPCRs when nothing is changed: %x, %v; want %x", got, err, want)
	}
}

// TestPCRValuesAreOfNow replays a whole response from before a register changed, and a
// response without a session.
func TestPCRValuesAreOfNow(t *testing.T) {
	bus := new(corrupter)
	s := testtoken.NewSWTPM(t)
	d, err := tpm.Open(t.Context(), bus.config(s))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var before []byte
	bus.corrupt(pcrReadCommand, func(rsp []byte) []byte { before = bytes.Clone(rsp); return rsp })
	if _, err := d.ReadPCRs(context.Background(), 7); err != nil {
		t.Fatal(err)
	}
	extend(t, d, 7)
	bare := bytes.Clone(before[:len(before)-2*(2+32)-1]) // without the session's nonce, attributes and MAC
	bare = append(bare[:10], bare[14:]...)
	binary.BigEndian.PutUint16(bare, 0x8001)
	binary.BigEndian.PutUint32(bare[2:], uint32(len(bare)))
	p := protector(t, d, tpm.Policy{PCRs: []uint{7}})
	for name, rsp := range map[string][]byte{"repeated": before, "without a session": bare} {
		bus.corrupt(pcrReadCommand, func([]byte) []byte { return rsp })
		if _, err := p.Protect(context.Background(), binding, make([]byte, 32)); err == nil {
			t.Errorf("%s: Protect returned nil, want an error", name)
		}
	}
	root, blob := seal(t, p)
	opens(t, p, root, blob, "sealed when nothing was changed")
}

// TestUnmeasuredRegisters binds to registers with their reset values: all zeros, or all
// ones above 16. A root under such a policy would open in every state.
func TestUnmeasuredRegisters(t *testing.T) {
	d := openFresh(t)
	key, _ := newApprover(t, d)
	for _, pcrs := range [][]uint{{8}, {17}, {7, 8}} {
		p := protector(t, d, tpm.Policy{PCRs: pcrs})
		if blob, err := p.Protect(t.Context(), binding, make([]byte, 32)); !errors.Is(err, driver.Invalid) {
			t.Errorf("Protect under PCRs %v, of which one is unmeasured: a blob of %d bytes, %v, want Invalid", pcrs, len(blob), err)
		}
		state, err := d.ReadPCRs(t.Context(), pcrs...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tpm.Approve(key, state); !errors.Is(err, driver.Invalid) {
			t.Errorf("Approve of PCRs %v, of which one is unmeasured: %v, want Invalid", pcrs, err)
		}
		terms := tpm.ApprovalTerms{VaultID: hex.EncodeToString(binding.VaultID[:]), Number: 1}
		if _, err := tpm.ApproveFor(key, state, terms); !errors.Is(err, driver.Invalid) {
			t.Errorf("ApproveFor PCRs %v, of which one is unmeasured: %v, want Invalid", pcrs, err)
		}
	}
	accepted := protector(t, d, tpm.Policy{PCRs: []uint{8}, AcceptUnmeasured: true})
	root, blob := seal(t, accepted)
	opens(t, accepted, root, blob, "with AcceptUnmeasured")
	extend(t, d, 8)
	refuses(t, accepted, blob, "after the register was extended")
	measured := protector(t, d, tpm.Policy{PCRs: []uint{7, 8}})
	root, blob = seal(t, measured)
	opens(t, measured, root, blob, "after something was measured into the register")
}

// An extender extends register 7 before the next TPM2_Create, as firmware or another
// program may at any time.
type extender struct{ armed atomic.Bool }

type extended struct {
	testtoken.Conn
	by *extender
}

func (c *extended) Post(command []byte) error {
	const create = 0x153
	if binary.BigEndian.Uint32(command[6:]) == create && c.by.armed.Swap(false) {
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: 7, Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
		}.Execute(c.Conn)
		if err != nil {
			return err
		}
	}
	return c.Conn.Post(command)
}

// TestProtectChecksSealed checks that Protect fails if the state changed before the
// sealing, because the blob would never open.
func TestProtectChecksSealed(t *testing.T) {
	s, e := testtoken.NewSWTPM(t), new(extender)
	d, err := tpm.Open(t.Context(), tpm.Config{Dial: func() (transport.TPMCloser, error) {
		c, err := s.Dial()
		return &extended{Conn: c, by: e}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := protector(t, d, tpm.Policy{PCRs: []uint{7}})
	e.armed.Store(true)
	blob, err := p.Protect(context.Background(), binding, make([]byte, 32))
	if !errors.Is(err, driver.Unavailable) || errors.Is(err, driver.Denied) || len(blob) > 0 {
		t.Errorf("a register was extended between reading and sealing: a blob of %d bytes, %v; want %v", len(blob), err, driver.Unavailable)
	}
	root, blob := seal(t, p)
	opens(t, p, root, blob, "sealed again")
}
