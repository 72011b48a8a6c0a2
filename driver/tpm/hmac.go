package tpm

import (
	"context"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// A hmacKey is an open key of usage Derive.
type hmacKey struct{ key }

var _ driver.PRF = (*hmacKey)(nil)

// PRF computes HMAC in one command. If input is longer than the TPM's buffer
// (usually 1024 bytes) it takes a sequence of three or more commands.
func (k *hmacKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	const op = "TPM2_HMAC"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(input) > driver.MaxInput {
		return nil, fault(op, driver.Invalid, errLength)
	}
	buffer := k.driver.about.buffer()
	if len(input) <= buffer {
		return k.hmac(ctx, dst, input)
	}
	var out []byte
	err := k.do(ctx, op, func(d *device, e wire.Entity) (err error) {
		out, err = d.hmacSequence(k, e, sequence{dst, input, buffer})
		return err
	})
	return out, err
}

// hmac appends the HMAC of input to dst.
func (k *hmacKey) hmac(ctx context.Context, dst, input []byte) (out []byte, err error) {
	params := wire.AppendSized(make([]byte, 0, len(input)+4), input)
	command := wire.Command{
		Code:       tpm2.TPMCCMAC,
		Params:     binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMAlgNull)),
		EncryptIn:  true,
		EncryptOut: true,
	}
	err = k.execute(ctx, "TPM2_HMAC", command, func(params []byte) (err error) {
		out, err = appendDigest(dst, params, k.size())
		return err
	})
	return out, err
}

// size returns the length of an output.
func (k *hmacKey) size() int { return k.kind.Row.Spec.Algorithm.MACSize() }

// A sequence is the state of an HMAC over an input that is longer than the TPM's buffer.
type sequence struct {
	dst, input []byte
	step       int
}

// hmacSequence starts a sequence, which takes an object slot of its own, sends it the
// input, and completes it.
func (d *device) hmacSequence(k *hmacKey, e wire.Entity, s sequence) ([]byte, error) {
	auth := format.NewAuth()
	defer suite.Wipe(auth)
	rsp, err := d.execute(wire.Command{
		Code:          tpm2.TPMCCMACStart,
		Handles:       []wire.Entity{e},
		Params:        binary.BigEndian.AppendUint16(wire.AppendSized(suite.NewSecret(64)[:0], auth), uint16(tpm2.TPMAlgNull)),
		Session:       d.session,
		Auth:          k.res.auth.Bytes(),
		EncryptIn:     true,
		ReturnsHandle: true,
	})
	if err != nil {
		return nil, err
	}
	at := rsp.Handle
	feed := wire.Command{Code: tpm2.TPMCCSequenceUpdate, Handles: []wire.Entity{{Handle: at}}, Session: d.session, Auth: auth, EncryptIn: true}
	for ; len(s.input) > s.step; s.input = s.input[s.step:] {
		feed.Params = wire.AppendSized(make([]byte, 0, s.step+2), s.input[:s.step])
		if _, err := d.execute(feed); err != nil {
			d.flush(at)
			return nil, err
		}
	}
	feed.Code, feed.EncryptOut = tpm2.TPMCCSequenceComplete, true
	feed.Params = binary.BigEndian.AppendUint32(wire.AppendSized(make([]byte, 0, s.step+6), s.input), uint32(tpm2.TPMRHNull))
	if rsp, err = d.execute(feed); err != nil {
		d.flush(at)
		return nil, err
	}
	defer suite.Wipe(rsp.Params)
	r := wire.Reader{Rest: rsp.Params} // a ticket follows the digest
	return appendDigest(s.dst, wire.AppendSized(suite.NewSecret(2 + driver.MaxMACSize)[:0], r.Sized()), k.size())
}

// appendDigest appends the digest in params, which has size bytes, to dst and wipes params.
func appendDigest(dst, params []byte, size int) ([]byte, error) {
	defer suite.Wipe(params)
	r := wire.Reader{Rest: params}
	digest := r.Sized()
	if r.Done() != nil || len(digest) != size {
		return nil, wire.ErrResponse
	}
	return append(dst, digest...), nil
}
