package tpm

import (
	"context"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// maxInput is the longest input of PRF in bytes.
const maxInput = 4096

// A hmacKey is an open key of usage Derive.
type hmacKey struct{ key }

var _ driver.PRF = (*hmacKey)(nil)

// PRF computes HMAC-SHA-256 in one command. If input is longer than the TPM's buffer
// (usually 1024 bytes) it takes a sequence of three or more commands.
func (k *hmacKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	const op = "TPM2_HMAC"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(input) > maxInput {
		return nil, fault(op, driver.Invalid, errLength)
	}
	buffer := k.driver.about.buffer()
	if len(input) <= buffer {
		return k.hmac(ctx, dst, input)
	}
	var out []byte
	err := k.run(ctx, op, func(d *device, e entity) (err error) {
		out, err = d.hmacSequence(k, e, sequence{dst, input, buffer})
		return err
	})
	return out, err
}

// hmac appends the HMAC of input to dst.
func (k *hmacKey) hmac(ctx context.Context, dst, input []byte) (out []byte, err error) {
	params := appendSized(make([]byte, 0, len(input)+4), input)
	err = k.ask(ctx, "TPM2_HMAC", question{
		command: command{
			code:   tpm2.TPMCCMAC,
			params: binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMAlgNull)),
			in:     true,
			out:    true,
		},
		take: func(params []byte) (err error) {
			out, err = appendDigest(dst, params)
			return err
		},
	})
	return out, err
}

// A sequence is the state of an HMAC over an input that is longer than the TPM's buffer.
type sequence struct {
	dst, input []byte
	step       int
}

// hmacSequence starts a sequence, which takes an object slot of its own, sends it the
// input, and completes it.
func (d *device) hmacSequence(k *hmacKey, e entity, s sequence) ([]byte, error) {
	auth := newAuth()
	defer suite.Wipe(auth)
	rsp, err := d.execute(command{
		code:    tpm2.TPMCCMACStart,
		handles: []entity{e},
		params:  binary.BigEndian.AppendUint16(appendSized(make([]byte, 0, 64), auth), uint16(tpm2.TPMAlgNull)),
		session: d.session,
		auth:    k.res.auth.Bytes(),
		in:      true,
		yields:  true,
	})
	if err != nil {
		return nil, err
	}
	at := rsp.handle
	feed := command{code: tpm2.TPMCCSequenceUpdate, handles: []entity{{handle: at}}, session: d.session, auth: auth, in: true}
	for ; len(s.input) > s.step; s.input = s.input[s.step:] {
		feed.params = appendSized(make([]byte, 0, s.step+2), s.input[:s.step])
		if _, err := d.execute(feed); err != nil {
			d.flush(at)
			return nil, err
		}
	}
	feed.code, feed.out = tpm2.TPMCCSequenceComplete, true
	feed.params = binary.BigEndian.AppendUint32(appendSized(make([]byte, 0, s.step+6), s.input), uint32(tpm2.TPMRHNull))
	if rsp, err = d.execute(feed); err != nil {
		d.flush(at)
		return nil, err
	}
	defer suite.Wipe(rsp.params)
	r := reader{rest: rsp.params} // a ticket follows the digest
	return appendDigest(s.dst, appendSized(make([]byte, 0, 64), r.sized()))
}

// appendDigest appends the digest in params to dst and wipes params.
func appendDigest(dst, params []byte) ([]byte, error) {
	defer suite.Wipe(params)
	r := reader{rest: params}
	digest := r.sized()
	if r.done() != nil || len(digest) != suite.HashSize {
		return nil, errResponse
	}
	return append(dst, digest...), nil
}
