package vault

import (
	"context"
	"crypto"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/emmansun/gmsm/smx509"
)

// PublicKey is the public half of an asymmetric CMK.
type PublicKey struct {
	// Key is the CMK's id.
	Key   string
	Spec  KeySpec
	Usage KeyUsage
	// DER is X.509 SubjectPublicKeyInfo.
	DER []byte
}

// PublicKey returns the public half of an asymmetric CMK. Errors: ErrUsage for a symmetric
// CMK, ErrKeyState, ErrNotFound, ErrDenied.
func (c Client) PublicKey(ctx context.Context, key string) (PublicKey, error) {
	return c.publicKey(ctx, key, "")
}

// publicKey is PublicKey for a CMK of the given usage, or of any if usage is empty.
func (c Client) publicKey(ctx context.Context, key string, usage KeyUsage) (PublicKey, error) {
	var p PublicKey
	err := c.onKey(ctx, request{op: OpPublicKey, key: key}, func(ctx context.Context, t *target, _ *entry) error {
		if usage != "" && t.Usage != usage {
			return fmt.Errorf("%w: %s, not %s", ErrUsage, t.Usage, usage)
		}
		ver, err := c.vault.keys.version(ctx, t.ID, t.Version)
		p = PublicKey{Key: t.ID, Spec: t.Spec, Usage: t.Usage, DER: slices.Clone(ver.Public)}
		return err
	})
	if err != nil {
		return PublicKey{}, err
	}
	return p, nil
}

// PEM returns the key as a PEM block of type PUBLIC KEY.
func (p PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p.DER})
}

// Parse returns the key as *rsa.PublicKey, *ecdsa.PublicKey (for SM2 on the SM2 curve) or
// ed25519.PublicKey.
func (p PublicKey) Parse() (crypto.PublicKey, error) {
	key, err := smx509.ParsePKIXPublicKey(p.DER)
	if err != nil {
		return nil, wrap(OpPublicKey, p.Key, invalid("not a public key: %v", err))
	}
	return key, nil
}
