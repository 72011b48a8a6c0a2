package pkcs8

import (
	"crypto"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
)

// A PSS is the restriction of an RSA key with the identifier id-RSASSA-PSS (RFC 4055,
// 3.1): it may only sign by RSASSA-PSS and, if the key has parameters, only with that
// hash, that hash for MGF1, and at least that salt length.
type PSS struct {
	// Hash and MGFHash are 0 if the key has no parameters.
	Hash, MGFHash crypto.Hash
	// MinSalt is the minimum salt length in bytes.
	MinSalt int
}

// Allows reports whether the key may sign by an algorithm. The algorithms of package
// driver use one hash for the message and for MGF1, and a salt of the same length.
func (p *PSS) Allows(alg driver.SignAlg) bool {
	if p == nil {
		return true
	}
	if !alg.IsPSS() {
		return false
	}
	return p.Hash == 0 || p.Hash == alg.Hash() && p.MGFHash == alg.Hash() && p.MinSalt <= alg.DigestSize()
}

// restriction parses the parameters of id-RSASSA-PSS, which are empty if there are none. It
// rejects a key that could not be used for the spec.
func restriction(spec driver.KeySpec, parameters cryptobyte.String) (*PSS, error) {
	if spec.Usage != driver.Sign {
		return nil, refuse("make a CMK of usage SIGN_VERIFY for it, or bring another key",
			"the RSA key is restricted to signatures (id-RSASSA-PSS), the CMK decrypts")
	}
	if len(parameters) == 0 {
		return &PSS{}, nil
	}
	p, ok := parsePSS(parameters)
	if !ok {
		return nil, malformed("the parameters of id-RSASSA-PSS")
	}
	signs := slices.ContainsFunc([]driver.SignAlg{driver.RSAPSSSHA256, driver.RSAPSSSHA384, driver.RSAPSSSHA512}, p.Allows)
	if p.Hash == 0 || p.MGFHash == 0 || !signs {
		return nil, refuse(anotherKey, "the RSA key is restricted to RSASSA-PSS with %s; CMKs sign with one of SHA-256, SHA-384 and SHA-512 for message and MGF1, and a salt as long", p)
	}
	return &p, nil
}

// String describes the restriction.
func (p PSS) String() string {
	return fmt.Sprintf("hash %s, MGF1 hash %s, a salt of %d bytes or more", hashName(p.Hash), hashName(p.MGFHash), p.MinSalt)
}

func hashName(h crypto.Hash) string {
	if h == 0 {
		return "unknown"
	}
	return h.String()
}

// parsePSS parses RSASSA-PSS-params (RFC 4055, 3.1), whose defaults are SHA-1 and a salt
// of 20 bytes. The value of an unknown hash is 0.
func parsePSS(der cryptobyte.String) (p PSS, ok bool) {
	p = PSS{crypto.SHA1, crypto.SHA1, 20}
	var inner, part cryptobyte.String
	var there bool
	tag := func(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific().Constructed() }
	if !der.ReadASN1(&inner, asn1.SEQUENCE) || !der.Empty() || !inner.ReadOptionalASN1(&part, &there, tag(0)) {
		return p, false
	}
	if there {
		if p.Hash, ok = readHash(&part); !ok || !part.Empty() {
			return p, false
		}
	}
	if !inner.ReadOptionalASN1(&part, &there, tag(1)) {
		return p, false
	}
	if there {
		var mgf, oid cryptobyte.String
		if !part.ReadASN1(&mgf, asn1.SEQUENCE) || !part.Empty() || !mgf.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || string(oid) != oidMGF1 {
			return p, false
		}
		if p.MGFHash, ok = readHash(&mgf); !ok || !mgf.Empty() {
			return p, false
		}
	}
	trailer := 1
	if !inner.ReadOptionalASN1Integer(&p.MinSalt, tag(2), 20) || !inner.ReadOptionalASN1Integer(&trailer, tag(3), 1) {
		return p, false
	}
	return p, inner.Empty() && trailer == 1 && p.MinSalt >= 0
}

// readHash parses the AlgorithmIdentifier of a hash.
func readHash(s *cryptobyte.String) (crypto.Hash, bool) {
	var id, oid cryptobyte.String
	if !s.ReadASN1(&id, asn1.SEQUENCE) || !id.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) {
		return 0, false
	}
	if !id.Empty() && string(id) != "\x05\x00" {
		return 0, false
	}
	return hashOf(string(oid)), true
}

// hashOf returns the hash of RFC 4055 with an object identifier, or 0.
func hashOf(oid string) crypto.Hash {
	switch oid {
	case "\x2b\x0e\x03\x02\x1a":
		return crypto.SHA1
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x04":
		return crypto.SHA224
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x01":
		return crypto.SHA256
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x02":
		return crypto.SHA384
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x03":
		return crypto.SHA512
	}
	return 0
}
