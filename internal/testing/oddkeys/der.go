package oddkeys

import (
	"encoding/asn1"
	"math/big"
)

// A field is one element of DER.
type field []byte

func element(tag byte, content ...[]byte) field {
	var body []byte
	for _, c := range content {
		body = append(body, c...)
	}
	return append(append([]byte{tag}, lengthOf(len(body))...), body...)
}

func lengthOf(n int) []byte {
	switch {
	case n < 128:
		return []byte{byte(n)}
	case n < 256:
		return []byte{0x81, byte(n)}
	}
	return []byte{0x82, byte(n >> 8), byte(n)}
}

func sequence(content ...[]byte) field     { return element(0x30, content...) }
func octets(content []byte) field          { return element(0x04, content) }
func bits(content []byte) field            { return element(0x03, []byte{0}, content) }
func tagged(n byte, inner ...[]byte) field { return element(0xa0|n, inner...) }
func null() field                          { return field{5, 0} }

func integer(n *big.Int) field {
	der, err := asn1.Marshal(n)
	if err != nil {
		panic(err) // cannot fail: every number has an encoding
	}
	return der
}

func small(n int64) field { return integer(big.NewInt(n)) }

func oid(id ...int) field {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(id))
	if err != nil {
		panic(err) // cannot fail: the identifiers are constants of this package
	}
	return der
}

// pkcs8 returns PKCS #8 of version 0: an algorithm with its parameters, and a key.
func pkcs8(algorithm field, key []byte) []byte {
	return sequence(small(0), algorithm, octets(key))
}

// The identifiers of the algorithms.
func idRSA() field  { return oid(1, 2, 840, 113549, 1, 1, 1) }
func idPSS() field  { return oid(1, 2, 840, 113549, 1, 1, 10) }
func idOAEP() field { return oid(1, 2, 840, 113549, 1, 1, 7) }
func idMGF1() field { return oid(1, 2, 840, 113549, 1, 1, 8) }
func idEC() field   { return oid(1, 2, 840, 10045, 2, 1) }
func idEd() field   { return oid(1, 3, 101, 112) }
func idSM2() field  { return oid(1, 2, 156, 10197, 1, 301) }
func idP256() field { return oid(1, 2, 840, 10045, 3, 1, 7) }
func idP384() field { return oid(1, 3, 132, 0, 34) }
func idP521() field { return oid(1, 3, 132, 0, 35) }
