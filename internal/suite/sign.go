package suite

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"

	"github.com/emmansun/gmsm/sm2"
)

// SeedSize is the length in bytes of the seed of a signing key.
const SeedSize = 32

// SM2ID is the signer's id in SM2 signatures: the one that GM/T 0009 sets where
// nothing else is agreed.
const SM2ID = "1234567812345678"

var errSeed = errors.New("suite: the seed does not have 32 bytes")

// Signature names the suite's signature algorithm: "Ed25519" (RFC 8032), or "SM2"
// (GB/T 32918.2) with SM3 and SM2ID.
func (id ID) Signature() string {
	if id == SM {
		return "SM2"
	}
	return "Ed25519"
}

// PublicKey returns the public half of the key pair that a seed stands for: 32 bytes
// for Ed25519, and for SM2 the point as 04 ‖ X ‖ Y, 65 bytes.
func (id ID) PublicKey(seed []byte) ([]byte, error) {
	if len(seed) != SeedSize {
		return nil, errSeed
	}
	if id == SM {
		key, err := sm2Key(seed)
		if err != nil {
			return nil, err
		}
		defer wipeSM2(key)
		return encodePoint(key), nil
	}
	return ed25519PublicKey(seed), nil
}

// Sign signs message under the key that a seed stands for. An Ed25519 signature has
// 64 bytes; one of SM2 is ASN.1 DER (GM/T 0009), at most 72 bytes, and differs each
// time. The expanded key is wiped, but for copies on the heap that gmsm makes of an SM2
// key, and Go's FIPS module of an Ed25519 key.
func (id ID) Sign(seed, message []byte) ([]byte, error) {
	if len(seed) != SeedSize {
		return nil, errSeed
	}
	if id == SM {
		key, err := sm2Key(seed)
		if err != nil {
			return nil, err
		}
		defer wipeSM2(key)
		return key.Sign(rand.Reader, message, sm2.NewSM2SignerOption(true, []byte(SM2ID)))
	}
	return ed25519Sign(seed, message), nil
}

// CheckPublicKey reports what is wrong with a public key as PublicKey returns it.
func (id ID) CheckPublicKey(public []byte) error {
	if id == SM {
		_, err := sm2.NewPublicKey(public)
		return err
	}
	if len(public) != ed25519.PublicKeySize {
		return errors.New("suite: an Ed25519 public key has 32 bytes")
	}
	return nil
}

// Verify reports whether signature is one of message. A public key that
// CheckPublicKey refuses verifies nothing.
func (id ID) Verify(public, message, signature []byte) bool {
	if id.CheckPublicKey(public) != nil {
		return false
	}
	if id == SM {
		key, err := sm2.NewPublicKey(public)
		return err == nil && sm2.VerifyASN1WithSM2(key, []byte(SM2ID), message, signature)
	}
	return ed25519.Verify(public, message, signature)
}

// sm2Key makes the SM2 key of a seed. Its scalar is the first of
// KDF(seed, "strongroom/sm2", u32be i), i from 0, 32 bytes each, that lies in
// [1, n-2]. One in 2^32 seeds needs a second try.
func sm2Key(seed []byte) (*sm2.PrivateKey, error) {
	return firstSM2Key(func(i uint32, scalar []byte) {
		SM.KDF(scalar, seed, "strongroom/sm2", binary.BigEndian.AppendUint32(nil, i))
	})
}

// firstSM2Key takes the first candidate that is a private key.
func firstSM2Key(candidate func(i uint32, scalar []byte)) (key *sm2.PrivateKey, err error) {
	scalar := make([]byte, 32)
	defer Wipe(scalar)
	for i := range uint32(8) {
		candidate(i, scalar)
		if key, err = sm2.NewPrivateKey(scalar); err == nil {
			return key, nil
		}
	}
	return nil, err
}

func encodePoint(key *sm2.PrivateKey) []byte {
	point := make([]byte, 65)
	point[0] = 4
	key.X.FillBytes(point[1:33])
	key.Y.FillBytes(point[33:])
	return point
}

func wipeSM2(key *sm2.PrivateKey) { clear(key.D.Bits()) }
