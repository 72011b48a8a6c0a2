package vault

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"

	"crypto/x509/pkix"
)

// rsaPublic encodes an RSA public key as it is, however faulty.
func rsaPublic(t *testing.T, n *big.Int, e int64) []byte {
	t.Helper()
	inner, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, asn1.BitString{Bytes: inner, BitLength: 8 * len(inner)}})
	if err != nil {
		t.Fatal(err)
	}
	return outer
}

// TestOddRecipients: a key that would seal nothing, or that no private key opens, is not a
// recipient.
func TestOddRecipients(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	even := new(big.Int).Sub(k.N, big.NewInt(1))
	good := rsaPublic(t, k.N, 65537)
	if _, err := ParseRecipient(good); err != nil {
		t.Fatalf("a good key: %v", err)
	}
	for name, der := range map[string][]byte{
		"exponent 1":                 rsaPublic(t, k.N, 1),
		"exponent 3":                 rsaPublic(t, k.N, 3),
		"exponent 0":                 rsaPublic(t, k.N, 0),
		"a negative exponent":        rsaPublic(t, k.N, -1),
		"an even exponent":           rsaPublic(t, k.N, 65538),
		"an exponent of 33 bits":     rsaPublic(t, k.N, 1<<32+1),
		"an even modulus":            rsaPublic(t, even, 65537),
		"a negative modulus":         rsaPublic(t, new(big.Int).Neg(k.N), 65537),
		"bytes behind the key":       append(good[:len(good):len(good)], 0),
		"two keys":                   append(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: good}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: good})...),
		"a key in a PEM CERTIFICATE": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good}),
	} {
		if r, err := ParseRecipient(der); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, fingerprint %q, want ErrInvalid", name, err, r.Fingerprint())
		}
	}
}
