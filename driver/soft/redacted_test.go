package soft_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/redacttest"
)

func TestNothingPrintsASecret(t *testing.T) {
	secret := []byte("a secret of exactly 32 bytes !!!")
	d := newDriver(t, soft.Config{Key: secret})
	code := newCode(t)
	cfg := soft.Config{Key: secret}
	for _, v := range []any{
		cfg, &cfg, d, light.Passphrase(secret), code, *code,
		importKey(t, d, prfSpec, secret),
		importKey(t, d, driver.KeySpec{Algorithm: driver.Ed25519, Usage: driver.Sign}, ed25519PKCS8(secret)),
	} {
		redacttest.Silent(t, v, secret, code.AppendCode(nil))
	}
}

// ed25519PKCS8 returns the PKCS #8 encoding of a seed (RFC 8410).
func ed25519PKCS8(seed []byte) []byte {
	return append([]byte{0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20}, seed...)
}
