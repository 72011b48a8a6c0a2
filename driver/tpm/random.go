package tpm

import (
	"context"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
)

// Random fills p from the TPM's generator, in as many commands as necessary. The
// responses are encrypted.
func (d *Driver) Random(ctx context.Context, p []byte) error {
	const op = "TPM2_GetRandom"
	if err := d.enter(ctx, op); err != nil {
		return err
	}
	defer d.gate.Leave()
	if len(p) == 0 {
		return nil
	}
	return d.do(ctx, op, queue.Ordinary, func(dev *device) error { return dev.random(p) })
}

// random requests at most 32 bytes at a time, which every TPM supports, and accepts
// shorter responses.
func (d *device) random(p []byte) error {
	for len(p) > 0 {
		ask := min(len(p), 32)
		rsp, err := d.execute(wire.Command{
			Code:       tpm2.TPMCCGetRandom,
			Params:     []byte{0, byte(ask)},
			Session:    d.session,
			EncryptOut: true,
		})
		if err != nil {
			return err
		}
		r := wire.Reader{Rest: rsp.Params}
		got := r.Sized()
		if r.Done() != nil || len(got) == 0 || len(got) > ask {
			return wire.ErrResponse
		}
		p = p[copy(p, got):]
		clear(got)
	}
	return nil
}
