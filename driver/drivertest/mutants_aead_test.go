package drivertest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"slices"
	"sync/atomic"

	"strongroom.example/driver"
)

func aeadMutants() []mutant {
	return []mutant{
		{name: "Seal repeats its nonce", open: withKeys(func(k memoryAEAD) driver.Key { return countedNonce{k, nil} }),
			caught: []string{"NonceFresh"}},
		{name: "Seal counts its nonce for each handle", open: withKeys(func(k memoryAEAD) driver.Key { return countedNonce{k, new(atomic.Uint64)} }),
			caught: []string{"NonceFresh"}},
		{name: "Seal counts its nonce from each restart", open: func() driver.Driver { return countNonces(smallMemory()) },
			reopen: func(d driver.Driver) driver.Driver { return countNonces(d.(rekeyed[memoryAEAD]).Reopen()) },
			caught: []string{"NonceFreshAfterReopen"}},
		{name: "Seal refuses an empty plaintext", open: withKeys(func(k memoryAEAD) driver.Key { return neverEmpty{k} }),
			caught: []string{"AEADRoundTrip"}},
		{name: "aad ignored", open: withKeys(func(k memoryAEAD) driver.Key { return withoutAAD{k} }),
			caught: []string{"AEADWrongAAD"}},
		{name: "one key for all", open: withKeys(commonKey), caught: []string{"AEADWrongKey"}},
		{name: "tag ignored", open: withKeys(func(k memoryAEAD) driver.Key { return withoutTag{k} }),
			caught: []string{"AEADEveryByteFlipped", "AEADWrongKey", "AEADWrongAAD"}},
		{name: "short ciphertext is an empty plaintext", open: withKeys(func(k memoryAEAD) driver.Key { return shortIsEmpty{k} }),
			caught: []string{"AEADShort"}},
		{name: "Open leaves the plaintext of a forgery", open: withKeys(func(k memoryAEAD) driver.Key { return leaving{k} }),
			caught: []string{"DstAppended"}},
	}
}

// countedNonce counts its nonces, or always uses one.
type countedNonce struct {
	memoryAEAD
	count *atomic.Uint64
}

func countNonces(d *Memory) driver.Driver {
	count := new(atomic.Uint64)
	return rekeyed[memoryAEAD]{d, func(k memoryAEAD) driver.Key { return countedNonce{k, count} }}
}

func (k countedNonce) Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	if err := k.enter(ctx, "Seal"); err != nil {
		return dst, err
	}
	defer k.leave()
	gcm, err := cipher.NewGCM(k.block())
	if err != nil {
		return dst, failure("Seal", driver.Unknown, err)
	}
	nonce := make([]byte, gcm.NonceSize())
	if k.count != nil {
		binary.BigEndian.PutUint64(nonce, k.count.Add(1))
	}
	return gcm.Seal(append(dst, nonce...), nonce, plaintext, aad), nil
}

func (k memoryAEAD) block() cipher.Block {
	block, err := aes.NewCipher(k.material.raw)
	if err != nil {
		panic(err) // cannot fail with 32 bytes
	}
	return block
}

type neverEmpty struct{ memoryAEAD }

func (k neverEmpty) Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	if len(plaintext) == 0 {
		return dst, failure("Seal", driver.Invalid, errLength)
	}
	return k.memoryAEAD.Seal(ctx, dst, plaintext, aad)
}

type withoutAAD struct{ memoryAEAD }

func (k withoutAAD) Seal(ctx context.Context, dst, plaintext, _ []byte) ([]byte, error) {
	return k.memoryAEAD.Seal(ctx, dst, plaintext, nil)
}

func (k withoutAAD) Open(ctx context.Context, dst, ciphertext, _ []byte) ([]byte, error) {
	return k.memoryAEAD.Open(ctx, dst, ciphertext, nil)
}

func commonKey(k memoryAEAD) driver.Key {
	k.material.raw = make([]byte, 32)
	return k
}

type withoutTag struct{ memoryAEAD }

func (k withoutTag) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	out, err := k.memoryAEAD.Open(ctx, dst, ciphertext, aad)
	if err == nil || len(ciphertext) < 28 || ctx.Err() != nil {
		return out, err
	}
	return append(dst, k.decipher(ciphertext)...), nil
}

// decipher decrypts without verifying the tag.
func (k memoryAEAD) decipher(ciphertext []byte) []byte {
	out := slices.Clone(ciphertext[12 : len(ciphertext)-16])
	start := append(slices.Clone(ciphertext[:12]), 0, 0, 0, 2)
	cipher.NewCTR(k.block(), start).XORKeyStream(out, out)
	return out
}

type shortIsEmpty struct{ memoryAEAD }

func (k shortIsEmpty) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	if len(ciphertext) < 28 {
		return dst, nil
	}
	return k.memoryAEAD.Open(ctx, dst, ciphertext, aad)
}

type leaving struct{ memoryAEAD }

func (k leaving) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	out, err := k.memoryAEAD.Open(ctx, dst, ciphertext, aad)
	if err != nil && len(ciphertext) >= 28 {
		copy(dst[len(dst):cap(dst)], k.decipher(ciphertext))
	}
	return out, err
}
