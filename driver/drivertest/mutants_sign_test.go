package drivertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"slices"

	"strongroom.example/driver"
)

func signMutants() []mutant {
	return []mutant{
		{name: "Sign hashes the digest", open: withKeys(func(k memorySigner) driver.Key { return doubleHash{k} }),
			caught: []string{"SignVerifiesInStdlib"}},
		{name: "ECDSA without ASN.1", open: withKeys(func(k memorySigner) driver.Key { return rawECDSA{k} }),
			caught: []string{"SignVerifiesInStdlib"}},
		{name: "ECDSA with one nonce for ever", open: withKeys(func(k memorySigner) driver.Key { return stuckNonce{k} }),
			caught: []string{"SignNonceFresh"}},
		{name: "PSS with the longest salt", open: longSalts, caught: []string{"SignVerifiesInStdlib"}},
		{name: "Sign takes any length", open: withKeys(func(k memorySigner) driver.Key { return anyLength{k} }),
			caught: []string{"SignWrongLength"}},
		{name: "Sign takes any algorithm", open: withKeys(func(k memorySigner) driver.Key { return anyAlgorithm{k} }),
			caught: []string{"SignUnlistedAlgorithm", "ErrorsAreClassified"}},
	}
}

type doubleHash struct{ memorySigner }

func (k doubleHash) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	if len(input) == sha256.Size {
		sum := sha256.Sum256(input)
		input = sum[:]
	}
	return k.memorySigner.Sign(ctx, alg, input)
}

type rawECDSA struct{ memorySigner }

func (k rawECDSA) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	signature, err := k.memorySigner.Sign(ctx, alg, input)
	if err != nil {
		return nil, err
	}
	var parts struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &parts); err != nil {
		return nil, failure("Sign", driver.Unknown, err)
	}
	return slices.Concat(parts.R.FillBytes(make([]byte, 32)), parts.S.FillBytes(make([]byte, 32))), nil
}

// stuckNonce signs with the nonce 1, whose point is the base point.
type stuckNonce struct{ memorySigner }

func (k stuckNonce) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	signature, err := k.memorySigner.Sign(ctx, alg, input)
	key, ok := k.material.private.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return signature, err
	}
	d, err := key.Bytes()
	if err != nil {
		return nil, failure("Sign", driver.Unknown, err)
	}
	n, r := key.Params().N, new(big.Int).Mod(key.Params().Gx, key.Params().N)
	s := new(big.Int).Mul(r, new(big.Int).SetBytes(d))
	s.Add(s, new(big.Int).SetBytes(input)).Mod(s, n)
	return asn1.Marshal(struct{ R, S *big.Int }{r, s})
}

func longSalts() driver.Driver {
	return rekeyed[memorySigner]{NewMemory(spec(driver.RSA2048, driver.Sign)), func(k memorySigner) driver.Key { return longSalt{k} }}
}

type longSalt struct{ memorySigner }

func (k longSalt) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	signature, err := k.memorySigner.Sign(ctx, alg, input)
	if err != nil || !alg.IsPSS() {
		return signature, err
	}
	return k.material.private.Sign(rand.Reader, input, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: alg.Hash()})
}

type anyLength struct{ memorySigner }

func (k anyLength) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	return k.memorySigner.Sign(ctx, alg, resized(input, alg.DigestSize()))
}

type anyAlgorithm struct{ memorySigner }

func (k anyAlgorithm) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	if !slices.Contains(k.row.Sign, alg) {
		alg = k.row.Sign[0]
		input = resized(input, alg.DigestSize())
	}
	return k.memorySigner.Sign(ctx, alg, input)
}

// resized truncates b, or pads it with zeros.
func resized(b []byte, size int) []byte {
	out := make([]byte, size)
	copy(out, b)
	return out
}
