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

// SM2ID is the signer's id in SM2 signatures: the default of GM/T 0009.
const SM2ID = "1234567812345678"

var errSeed = errors.New("suite: the seed does not have 32 bytes")

// Signature returns the suite's signature algorithm: "Ed25519" (RFC 8032), or "SM2" (GB/T
// 32918.2) with SM3 and SM2ID.
func (id ID) Signature() string {
	if id == SM {
		return "SM2"
	}
	return "Ed25519"
}

// PublicKey returns the public key of a seed: 32 bytes for Ed25519; for SM2 the point 04
// ‖ X ‖ Y, 65 bytes.
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

// Sign signs message with the key of a seed. An Ed25519 signature has 64 bytes. An SM2
// signature is ASN.1 DER (GM/T 0009) of at most 72 bytes, and differs each time. Sign
// wipes the expanded key, but not the copies on the heap that gmsm makes of an SM2 key,
// and Go's FIPS module of an Ed25519 key.
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

// CheckPublicKey returns an error unless public is a valid public key, as PublicKey
// returns it.
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

// Verify reports whether signature is a signature of message. It returns false for a
// public key that CheckPublicKey rejects.
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

// sm2Key returns the SM2 key of a seed. Its scalar is the first of KDF(seed,
// "strongroom/sm2", u32be i), i from 0, 32 bytes each, that is in [1, n-2]. One in 2^32
// seeds needs a second candidate.
func sm2Key(seed []byte) (*sm2.PrivateKey, error) {
	return firstSM2Key(func(i uint32, scalar []byte) {
		SM.KDF(scalar, seed, "strongroom/sm2", binary.BigEndian.AppendUint32(nil, i))
	})
}

// firstSM2Key returns the first candidate that is a private key.
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
