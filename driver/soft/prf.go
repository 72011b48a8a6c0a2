package soft

import (
	"context"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

const maxPRFInput = 4096

var errLength = errors.New("input of a wrong length")

// A prfKey is an open key for HMAC with SHA-256 or SM3.
type prfKey struct {
	handle
	suite    suite.ID
	material *lockedmem.Buffer
}

var _ driver.PRF = (*prfKey)(nil)

// PRF appends the HMAC of input.
func (k *prfKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	const op = "PRF"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(input) > maxPRFInput {
		return nil, fault(op, driver.Invalid, errLength)
	}
	dst = slices.Grow(dst, suite.HashSize)
	n := len(dst)
	dst = dst[:n+suite.HashSize]
	k.suite.MACTo(dst[n:], k.material.Bytes(), input)
	return dst, nil
}
