package pkcs11

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/internal/suite"
)

// A method is the way in which a token produces the secret under which a root is sealed.
type method byte

const (
	// methodPRF: the token's HMAC of header and binding.
	methodPRF method = 1
	// methodRSA: 32 random bytes, encrypted with RSA-OAEP and SHA-256, which the token
	// decrypts.
	methodRSA method = 2
)

const secretLen = 32

// methodFor returns the preferred method of those that the token supports.
func methodFor(info driver.Info) (method, bool) {
	if _, ok := info.Find(methodPRF.spec()); ok {
		return methodPRF, true
	}
	row, ok := info.Find(methodRSA.spec())
	return methodRSA, ok && slices.Contains(row.Decrypt, driver.RSAOAEPSHA256)
}

// spec returns the spec of the protector's key in the token.
func (m method) spec() driver.KeySpec {
	if m == methodPRF {
		return driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	}
	return driver.KeySpec{Algorithm: driver.RSA3072, Usage: driver.Decrypt}
}

// oldKeyID returns the key id of a blob of format 1, which has one key for each vault. A
// token that did not show its objects for some time can have several of them.
func (m method) oldKeyID(b driver.Binding) driver.MaterialID {
	const prefix = "strongroom"
	id := driver.MaterialID([]byte(prefix + "rootky"))
	h := suite.AES.Hash([]byte(protectorLabel), b.VaultID[:], []byte{byte(m)})
	copy(id[len(prefix):], h[:])
	return id
}

// begin completes a new blob for the key that was created, and returns the secret for it.
// The caller wipes the secret.
func (b *blob) begin(ctx context.Context, token driver.Driver, to driver.Binding, created driver.Created) ([]byte, error) {
	if b.method == methodPRF {
		b.rest = make([]byte, saltSize)
		rand.Read(b.rest)
		key, err := token.OpenKey(ctx, b.id, b.method.spec(), nil)
		if err != nil {
			return nil, err
		}
		defer key.Close()
		return b.secret(ctx, key, to)
	}
	secret := suite.NewSecret(secretLen)
	rand.Read(secret)
	public, err := x509.ParsePKIXPublicKey(created.PublicDER)
	if key, ok := public.(*rsa.PublicKey); ok && err == nil {
		if b.rest, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, key, secret, nil); err == nil {
			return secret, nil
		}
	}
	suite.Wipe(secret)
	return nil, cryptoki.Fault("Protect", driver.Unknown, err)
}

// secret computes the secret of a blob with a key of the token. The caller wipes it.
func (b blob) secret(ctx context.Context, opened driver.Key, to driver.Binding) ([]byte, error) {
	dst := suite.NewSecret(maxRest)[:0]
	switch key := opened.(type) {
	case driver.PRF:
		return key.PRF(ctx, dst, bound(b.prefix(), to))
	case driver.Decrypter:
		secret, err := key.Decrypt(ctx, dst, driver.RSAOAEPSHA256, b.rest)
		if err == nil && len(secret) != secretLen {
			suite.Wipe(secret)
			return nil, cryptoki.Fault("Recover", driver.Authentic, errRoot)
		}
		return secret, err
	}
	return nil, cryptoki.Fault("Recover", driver.Unsupported, errMethod)
}
