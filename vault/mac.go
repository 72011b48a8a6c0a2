package vault

import (
	"context"
	"crypto/hmac"
	"fmt"

	"strongroom.example/internal/suite"
)

// GenerateMac returns the 32-byte HMAC of a message (at most MaxMessage bytes) under the
// CMK, with SHA-256 or SM3 depending on the CMK's spec. Errors: ErrTooLarge, ErrUsage,
// ErrKeyState, ErrDenied.
func (c Client) GenerateMac(ctx context.Context, key string, message []byte) ([]byte, error) {
	var mac []byte
	err := c.mac(ctx, request{op: OpGenerateMac, key: key, size: len(message)}, message, func(e *entry, sum []byte) {
		mac = sum
		e.rec.OutputSize = uint64(len(sum))
	})
	if err != nil {
		return nil, err
	}
	return mac, nil
}

// VerifyMac reports whether mac is the full 32-byte HMAC of a message under the CMK. A
// wrong MAC is not an error. Errors: those of GenerateMac.
func (c Client) VerifyMac(ctx context.Context, key string, message, mac []byte) (bool, error) {
	mac = atMost(mac, suite.HashSize)
	valid := false
	err := c.mac(ctx, request{op: OpVerifyMac, key: key, size: len(message)}, message, func(e *entry, sum []byte) {
		valid = hmac.Equal(sum, mac)
		suite.Wipe(sum)
		e.rec.Detail = map[string]string{"valid": fmt.Sprint(valid)}
	})
	return valid && err == nil, err
}

// mac computes the HMAC of a message and passes it to use.
func (c Client) mac(ctx context.Context, q request, message []byte, use func(e *entry, sum []byte)) error {
	if len(message) > MaxMessage {
		return c.reject(ctx, q, fmt.Errorf("%w: message has %d bytes, the limit is %d", ErrTooLarge, len(message), MaxMessage))
	}
	own := c.vault.own(message)
	defer own.release()
	return c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) error {
		ver, err := c.vault.keys.version(ctx, t.ID, t.Version)
		if err != nil {
			return err
		}
		e.rec.Algorithm = string(ver.Algorithm)
		sum, err := c.vault.prf(ctx, ver, nil, own.bytes)
		if err != nil {
			return err
		}
		use(e, sum)
		return nil
	})
}
