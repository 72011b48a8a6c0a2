package drivertest

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
	"strongroom.example/internal/pkcs8"
)

// keyMaterial is a key in the clear: raw bytes if it is symmetric, else a private key of the
// standard library or gmsm.
type keyMaterial struct {
	raw     []byte
	private crypto.Signer
}

var errMaterial = errors.New("material of a wrong length or form")

// generate returns fresh material.
func generate(alg driver.KeyAlgorithm) (keyMaterial, error) {
	if alg.Symmetric() {
		raw := make([]byte, alg.MACSize())
		rand.Read(raw)
		return keyMaterial{raw: raw}, nil
	}
	private, err := generatePrivate(alg)
	return keyMaterial{private: private}, err
}

func generatePrivate(alg driver.KeyAlgorithm) (crypto.Signer, error) {
	switch alg {
	case driver.RSA2048, driver.RSA3072, driver.RSA4096:
		return rsa.GenerateKey(rand.Reader, alg.ModulusBits())
	case driver.ECP256, driver.ECP384, driver.ECP521:
		return ecdsa.GenerateKey(alg.Curve(), rand.Reader)
	case driver.Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case driver.SM2:
		return sm2.GenerateKey(rand.Reader)
	}
	return nil, errSpec
}

// parse parses material in its import encoding.
func parse(spec driver.KeySpec, in []byte) (keyMaterial, error) {
	if spec.Algorithm.Symmetric() {
		if !spec.Algorithm.FitsMaterial(len(in)) {
			return keyMaterial{}, errMaterial
		}
		return keyMaterial{raw: slices.Clone(in)}, nil
	}
	key, err := pkcs8.Parse(spec, in)
	return keyMaterial{private: key.Private}, err
}

// encode is the inverse of parse.
func (m keyMaterial) encode() ([]byte, error) {
	if m.private == nil {
		return slices.Clone(m.raw), nil
	}
	return keyder.MarshalPrivate(m.private)
}

// public returns SubjectPublicKeyInfo, nil for symmetric material.
func (m keyMaterial) public() ([]byte, error) {
	if m.private == nil {
		return nil, nil
	}
	return keyder.MarshalPublic(m.private.Public())
}

// memorySpecs returns the capability table of a Memory that supports only some specs, or
// all if none is named. Without a wrapping key no spec has wrapped import.
func memorySpecs(only []driver.KeySpec) []driver.SpecInfo {
	table := allSpecs()
	if len(only) == 0 {
		return table
	}
	table = slices.DeleteFunc(table, func(row driver.SpecInfo) bool { return !slices.Contains(only, row.Spec) })
	if !slices.ContainsFunc(table, func(row driver.SpecInfo) bool { return row.Spec.Usage == driver.Unwrap }) {
		for i := range table {
			table[i].WrappedImport = nil
		}
	}
	return table
}

func allSpecs() []driver.SpecInfo {
	var table []driver.SpecInfo
	add := func(alg driver.KeyAlgorithm, usage driver.Usage, row driver.SpecInfo) {
		row.Spec = driver.KeySpec{Algorithm: alg, Usage: usage}
		row.Resident = true
		row.Import = usage != driver.Unwrap
		if alg.Symmetric() {
			row.WrappedImport = []driver.WrapAlg{driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256}
		}
		table = append(table, row)
	}
	for _, alg := range symmetric() {
		add(alg, driver.Derive, driver.SpecInfo{})
	}
	for _, alg := range []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519, driver.SM2, driver.RSA2048} {
		add(alg, driver.Sign, driver.SpecInfo{Sign: alg.SignAlgs()})
	}
	for _, alg := range []driver.KeyAlgorithm{driver.SM2, driver.RSA2048} {
		add(alg, driver.Decrypt, driver.SpecInfo{Decrypt: encryptAlgs(alg)})
	}
	add(driver.RSA2048, driver.Unwrap, driver.SpecInfo{})
	return table
}

// encryptAlgs returns the encryption algorithms of a key algorithm.
func encryptAlgs(alg driver.KeyAlgorithm) []driver.EncryptAlg {
	switch alg {
	case driver.RSA2048, driver.RSA3072, driver.RSA4096:
		return []driver.EncryptAlg{driver.RSARaw, driver.RSAOAEPSHA1, driver.RSAOAEPSHA256}
	case driver.SM2:
		return []driver.EncryptAlg{driver.SM2ASN1}
	}
	return nil
}

// kwp is AES key wrap with padding (RFC 5649), the host's part of RSA_AES_KEY_WRAP.
func kwp(key, material []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	padded := (len(material) + 7) / 8 * 8
	out := make([]byte, 8+padded)
	binary.BigEndian.PutUint32(out, 0xA65959A6)
	binary.BigEndian.PutUint32(out[4:], uint32(len(material)))
	copy(out[8:], material)
	if padded == 8 {
		block.Encrypt(out, out)
		return out, nil
	}
	var work [16]byte
	copy(work[:8], out)
	step := uint64(0)
	for range 6 {
		for at := 8; at < len(out); at += 8 {
			step++
			copy(work[8:], out[at:])
			block.Encrypt(work[:], work[:])
			binary.BigEndian.PutUint64(work[:], binary.BigEndian.Uint64(work[:])^step)
			copy(out[at:at+8], work[8:])
		}
	}
	copy(out, work[:8])
	return out, nil
}
