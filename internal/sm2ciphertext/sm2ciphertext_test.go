package sm2ciphertext_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"math/big"

	"strongroom.example/internal/sm2ciphertext"
)

// encode returns a ciphertext in DER.
func encode(t testing.TB, c sm2ciphertext.Ciphertext) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(c.Point[:sm2ciphertext.FieldSize]))
		b.AddASN1BigInt(new(big.Int).SetBytes(c.Point[sm2ciphertext.FieldSize:]))
		b.AddASN1OctetString(c.Hash)
		b.AddASN1OctetString(c.Body)
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// FuzzParse checks that an accepted ciphertext has one encoding, and that gmsm parses it
// to the same values.
func FuzzParse(f *testing.F) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, opts := range []*sm2.EncrypterOpts{sm2.ASN1EncrypterOpts, nil} {
		ciphertext, err := sm2.Encrypt(rand.Reader, &key.PublicKey, []byte("text"), opts)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ciphertext)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, ok := sm2ciphertext.Parse(in)
		if !ok {
			return
		}
		if again := encode(t, c); !bytes.Equal(again, in) {
			t.Errorf("Parse accepted %x, which encodes as %x", in, again)
		}
	})
}
