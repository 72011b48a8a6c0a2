//go:build cgo && unix

package pkcs11

import (
	"context"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

const (
	maxMessage = 4096
	hmacSize   = 32
)

// A prfKey is an HMAC-SHA-256 key (FIPS 198-1) in the token.
type prfKey struct{ *handle }

var _ driver.PRF = (*prfKey)(nil)

// PRF appends the HMAC of input to dst. Input over 4096 bytes is Invalid.
func (k *prfKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.prf(ctx, dst, input)
	}
	in := slices.Clone(input)
	return boundedAppend(ctx, dst, func() ([]byte, error) {
		defer suite.Wipe(in)
		return k.prf(ctx, nil, in)
	})
}

func (k *prfKey) prf(ctx context.Context, dst, input []byte) ([]byte, error) {
	const op = "PRF"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(input) > maxMessage {
		return nil, fault(op, driver.Invalid, errLength)
	}
	return appendInto(dst, hmacSize, func(out []byte) (n int, err error) {
		err = k.driver.run(ctx, func(s session) (err error) {
			n, err = k.object.hmac(s, out, input)
			return err
		})
		return n, err
	})
}

// hmac writes the HMAC of input to out, which has 32 bytes.
func (o *object) hmac(s session, out, input []byte) (int, error) {
	n, err := o.operate(s, call{op: opSign, mechanism: p11.CKM_SHA256_HMAC, in: input, out: out})
	if err == nil && n != hmacSize {
		return 0, fault("C_Sign", driver.Unknown, errResult)
	}
	return n, err
}
