package drivertest

import (
	"bytes"
	"context"
	"errors"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
)

func decryptMutants() []mutant {
	return []mutant{
		{name: "Decrypt tells a wrong length from wrong content", open: withKeys(func(k memoryDecrypter) driver.Key { return tellingLength{k} }),
			caught: []string{"DecryptEveryFaultAuthentic"}},
		{name: "Decrypt makes up a plaintext", open: withKeys(func(k memoryDecrypter) driver.Key { return inventing{k} }),
			caught: []string{"DecryptEveryFaultAuthentic"}},
		{name: "Decrypt extends dst on failure", open: withKeys(func(k memoryDecrypter) driver.Key { return extending{k} }),
			caught: []string{"DstAppended", "DecryptEveryFaultAuthentic"}},
		{name: "Decrypt moves dst", open: withKeys(func(k memoryDecrypter) driver.Key { return movingDecrypter{k} }),
			caught: []string{"DstAppended"}},
		{name: "unlisted encryption algorithm is Invalid", open: withKeys(func(k memoryDecrypter) driver.Key { return unlistedInvalid{k} }),
			caught: []string{"DecryptUnlistedAlgorithm"}},
		{name: "Decrypt takes raw SM2 ciphertexts", open: withKeys(func(k memoryDecrypter) driver.Key { return rawReader{k} }),
			caught: []string{"DecryptOtherFormAuthentic"}},
		{name: "Decrypt reads a number of any length", open: numberReaders, caught: []string{"DecryptEveryFaultAuthentic"}},
		{name: "raw RSA loses leading zeros", open: zeroLosers, caught: []string{"DecryptRoundTrip"}},
	}
}

type tellingLength struct{ memoryDecrypter }

func (k tellingLength) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	out, err := k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
	if errors.Is(err, driver.Authentic) && len(ciphertext) < 96 {
		err = failure("Decrypt", driver.Invalid, errLength)
	}
	return out, err
}

type inventing struct{ memoryDecrypter }

func (k inventing) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	out, err := k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
	if errors.Is(err, driver.Authentic) {
		return append(dst, randomBytes(32)...), nil
	}
	return out, err
}

type extending struct{ memoryDecrypter }

func (k extending) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	out, err := k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
	if err != nil {
		out = append(dst, 0)
	}
	return out, err
}

type movingDecrypter struct{ memoryDecrypter }

func (k movingDecrypter) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	out, err := k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
	return bytes.Clone(out), err
}

type unlistedInvalid struct{ memoryDecrypter }

func (k unlistedInvalid) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	out, err := k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
	if errors.Is(err, driver.Unsupported) {
		err = failure("Decrypt", driver.Invalid, errSpec)
	}
	return out, err
}

func zeroLosers() driver.Driver {
	return rekeyed[memoryDecrypter]{NewMemory(spec(driver.RSA2048, driver.Decrypt)), func(k memoryDecrypter) driver.Key { return zeroLoser{k} }}
}

type zeroLoser struct{ memoryDecrypter }

func (k zeroLoser) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	out, err := k.memoryDecrypter.Decrypt(ctx, nil, alg, ciphertext)
	if alg == driver.RSARaw {
		out = bytes.TrimLeft(out, "\x00")
	}
	return append(dst, out...), err
}

// A rawReader accepts every form that gmsm accepts.
type rawReader struct{ memoryDecrypter }

func (k rawReader) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	if key, ok := k.material.private.(*sm2.PrivateKey); ok && alg == driver.SM2ASN1 && ctx.Err() == nil {
		if plaintext, err := key.Decrypt(nil, ciphertext, nil); err == nil {
			return append(dst, plaintext...), nil
		}
	}
	return k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
}

func numberReaders() driver.Driver {
	return rekeyed[memoryDecrypter]{NewMemory(spec(driver.RSA2048, driver.Decrypt)), func(k memoryDecrypter) driver.Key { return numberReader{k} }}
}

// A numberReader pads a short ciphertext with zeros.
type numberReader struct{ memoryDecrypter }

func (k numberReader) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	if n := len(ciphertext); n > 0 && n < 256 {
		ciphertext = append(make([]byte, 256-n), ciphertext...)
	}
	return k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
}
