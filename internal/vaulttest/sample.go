package vaulttest

import (
	"errors"
	"testing"

	"strongroom.example/vault"
)

// message is the text that the checks encrypt and sign.
const message = "pay 4711 to the bearer"

// purpose returns an encryption context. Its value must never appear in the audit log.
func purpose() vault.EncryptionContext {
	return vault.EncryptionContext{"tenant": "acme-and-sons", "b": "1"}
}

// sample is a key with the inputs for its operations.
type sample struct {
	row
	key       vault.Key
	ct        []byte // from Encrypt, under purpose
	dataKey   []byte // from GenerateDataKeyWithoutPlaintext, under purpose
	encrypted []byte // encrypted to the public key, outside the vault
	signature []byte
	mac       []byte
	sign      vault.SignOptions
	decrypt   vault.EncryptionAlgorithm
}

// sample returns a sample for the shared key of a row in x.
func (s *subject) sample(t *testing.T, x *home, r row) sample {
	t.Helper()
	return s.sampleOf(t, x, r, x.key(t, r))
}

// sampleOf returns a sample for a key of a row.
func (s *subject) sampleOf(t *testing.T, x *home, r row, k vault.Key) sample {
	t.Helper()
	ctx, c := t.Context(), x.owner()
	m := sample{row: r, key: k}
	var err, errDataKey error
	switch r.usage {
	case vault.EncryptDecrypt:
		m.ct, err = c.Encrypt(ctx, m.key.ID, []byte(message), purpose())
		m.dataKey, errDataKey = c.GenerateDataKeyWithoutPlaintext(ctx, m.key.ID, 32, purpose())
	case vault.GenerateVerifyMac:
		m.mac, err = c.GenerateMac(ctx, m.key.ID, []byte(message))
	case vault.SignVerify:
		m.sign.Algorithm = s.firstSigning(t, r)
		m.signature, err = c.Sign(ctx, m.key.ID, []byte(message), m.sign)
	case vault.AsymmetricDecrypt:
		m.decrypt = s.firstDecrypting(t, r)
		m.encrypted = encryptTo(t, m.decrypt, parse(t, x.publicOf(t, k.ID)), []byte(message))
	}
	if err = errors.Join(err, errDataKey); err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *subject) firstSigning(t *testing.T, r row) vault.SignAlgorithm {
	t.Helper()
	for _, x := range s.signings() {
		if x.row == r && x.can {
			return x.alg
		}
	}
	t.Fatalf("%s has no algorithm", r)
	return ""
}

func (s *subject) firstDecrypting(t *testing.T, r row) vault.EncryptionAlgorithm {
	t.Helper()
	for _, x := range s.decryptings() {
		if x.row == r && x.can {
			return x.alg
		}
	}
	t.Fatalf("%s has no algorithm", r)
	return ""
}
