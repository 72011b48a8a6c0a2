package pkcs11

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A method is how a token gives the secret that a root is sealed under.
type method byte

const (
	// methodPRF: the token's HMAC over header and binding.
	methodPRF method = 1
	// methodRSA: 32 random bytes under RSA-OAEP with SHA-256, opened by the token.
	methodRSA method = 2
)

// A blob is header ‖ sealed root, and a header magic ‖ method ‖ length of the rest ‖
// the rest: a salt for methodPRF, a ciphertext for methodRSA.
const (
	blobMagic = "SRK\x01" // the last byte is the format
	restAt    = len(blobMagic) + 1 + 2
	saltSize  = 32
	maxRest   = 1024
	secretLen = 32
)

// methodFor chooses what the token does best.
func methodFor(info driver.Info) (method, bool) {
	if _, ok := info.Find(methodPRF.spec()); ok {
		return methodPRF, true
	}
	row, ok := info.Find(methodRSA.spec())
	return methodRSA, ok && slices.Contains(row.Decrypt, driver.RSAOAEPSHA256)
}

// spec is that of the vault's key in the token.
func (m method) spec() driver.KeySpec {
	if m == methodPRF {
		return driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	}
	return driver.KeySpec{Algorithm: driver.RSA3072, Usage: driver.Decrypt}
}

// Ids that begin with reserved are this package's own: those of sentinels and of
// protectors' keys.
const reserved = "strongroom"

// keyID names the vault's key: one of the reserved ids, which the list of keys
// leaves out. Two vaults whose ids agree in the hash share a key and nothing else.
func (m method) keyID(b driver.Binding) driver.MaterialID {
	id := driver.MaterialID([]byte(reserved + "rootky"))
	h := suite.AES.Hash([]byte(protectorLabel), b.VaultID[:], []byte{byte(m)})
	copy(id[len(reserved):], h[:])
	return id
}

// begin makes a header and the secret that belongs to it, and the vault's key if
// there is none.
func (m method) begin(ctx context.Context, token driver.Driver, b driver.Binding) (header, secret []byte, err error) {
	created, err := token.GenerateKey(ctx, m.keyID(b), m.spec())
	if err != nil {
		return nil, nil, err
	}
	if m == methodPRF {
		salt := make([]byte, saltSize)
		rand.Read(salt)
		header = m.header(salt)
		secret, err = m.resume(ctx, token, b, header)
		return header, secret, err
	}
	secret = make([]byte, secretLen)
	rand.Read(secret)
	public, err := x509.ParsePKIXPublicKey(created.PublicDER)
	if key, ok := public.(*rsa.PublicKey); ok && err == nil {
		var ciphertext []byte
		if ciphertext, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, key, secret, nil); err == nil {
			return m.header(ciphertext), secret, nil
		}
	}
	suite.Wipe(secret)
	return nil, nil, fault("Protect", driver.Unknown, err)
}

// resume has the token give the secret of a header. The caller wipes it.
func (m method) resume(ctx context.Context, token driver.Driver, b driver.Binding, header []byte) ([]byte, error) {
	opened, err := token.OpenKey(ctx, m.keyID(b), m.spec(), nil)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	dst := make([]byte, 0, maxRest)
	switch key := opened.(type) {
	case driver.PRF:
		return key.PRF(ctx, dst, bound(header, b))
	case driver.Decrypter:
		secret, err := key.Decrypt(ctx, dst, driver.RSAOAEPSHA256, header[restAt:])
		if err == nil && len(secret) != secretLen {
			suite.Wipe(secret)
			return nil, fault("Recover", driver.Denied, errRoot)
		}
		return secret, err
	}
	return nil, fault("Recover", driver.Unsupported, errMethod)
}

func (m method) header(rest []byte) []byte {
	h := append([]byte(blobMagic), byte(m))
	return append(binary.BigEndian.AppendUint16(h, uint16(len(rest))), rest...)
}

// parseBlob takes a blob apart; false means that it is none.
func parseBlob(blob []byte) (m method, header, sealed []byte, ok bool) {
	if len(blob) < restAt || string(blob[:len(blobMagic)]) != blobMagic {
		return 0, nil, nil, false
	}
	m = method(blob[len(blobMagic)])
	n := int(binary.BigEndian.Uint16(blob[len(blobMagic)+1:]))
	good := m == methodPRF && n == saltSize || m == methodRSA && n <= maxRest
	if !good || len(blob) != restAt+n+rootSize+suite.Overhead {
		return 0, nil, nil, false
	}
	return m, blob[:restAt+n], blob[restAt+n:], true
}
