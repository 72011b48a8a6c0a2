package drivertest

import (
	"context"
	"crypto/ecdsa"
	"encoding/asn1"
	"math/big"

	"strongroom.example/driver"
)

// signNonceFresh signs different inputs with one key. Two signatures with the same nonce
// disclose the private key. Deterministic nonces (RFC 6979) differ if the inputs do.
func signNonceFresh(t tb, s *subject) {
	for _, row := range s.rows(driver.Sign) {
		public, err := parsePublic(row.Spec.Algorithm, s.key(t, row).created.PublicDER)
		if err != nil {
			t.Errorf("%v: %v", row.Spec, err)
			continue
		}
		key, ok := public.(*ecdsa.PublicKey)
		if !ok {
			continue // RSA and Ed25519 have no nonce that a device draws
		}
		signer := sharedKey[driver.Signer](t, s, row)
		n, seen := 0, make(map[string]bool)
		for _, alg := range row.Sign {
			for range 4 {
				input := signInput(alg)
				signature, err := signer.Sign(context.Background(), alg, input)
				if err != nil {
					t.Errorf("%v: %s: %v", row.Spec, alg, err)
					continue
				}
				n++
				seen[noncePoint(t, key, alg, input, signature)] = true
			}
		}
		if len(seen) != n {
			t.Errorf("%v: %d signatures have %d different nonces", row.Spec, n, len(seen))
		}
		closeKey(t, signer)
	}
}

// noncePoint returns the coordinate x1 mod n of the nonce's point: r in ECDSA, and r - e
// in SM2 (GM/T 0003.2, 6.1).
func noncePoint(t tb, key *ecdsa.PublicKey, alg driver.SignAlg, e, signature []byte) string {
	t.Helper()
	var parts struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &parts); err != nil {
		t.Errorf("%s: the signature is not ASN.1: %v", alg, err)
		return string(signature)
	}
	x := parts.R
	if alg == driver.SM2DSA {
		x = x.Sub(x, new(big.Int).SetBytes(e))
	}
	return x.Mod(x, key.Params().N).String()
}
