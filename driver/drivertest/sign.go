package drivertest

import (
	"context"
	"crypto/ecdsa"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"

	"strongroom.example/driver"
)

// signVerifiesInStdlib signs with each key and algorithm. A signature must verify over
// its input, and over no other.
func signVerifiesInStdlib(t tb, s *subject) {
	for _, row := range s.rows(driver.Sign) {
		public, err := parsePublic(row.Spec.Algorithm, s.key(t, row).created.PublicDER)
		if err != nil {
			t.Errorf("%v: %v", row.Spec, err)
			continue
		}
		signer := sharedKey[driver.Signer](t, s, row)
		for _, alg := range row.Sign {
			for _, input := range signInputs(alg) {
				signature, err := signer.Sign(context.Background(), alg, input)
				if err == nil {
					err = verify(public, alg, input, signature)
				}
				if err != nil {
					t.Errorf("%v: %s over %d bytes: %v", row.Spec, alg, len(input), err)
				}
			}
		}
		closeKey(t, signer)
	}
}

// signInputs returns inputs of an algorithm, including unusual ones.
func signInputs(alg driver.SignAlg) [][]byte {
	if alg.TakesMessage() {
		return [][]byte{{}, {0}, randomBytes(100), randomBytes(driver.MaxInput)}
	}
	n := alg.DigestSize()
	return [][]byte{randomBytes(n), make([]byte, n), slices.Repeat([]byte{0xff}, n)}
}

func signWrongLength(t tb, s *subject) {
	for _, row := range s.rows(driver.Sign) {
		signer := sharedKey[driver.Signer](t, s, row)
		for _, alg := range row.Sign {
			for _, n := range wrongLengths(alg) {
				signature, err := signer.Sign(context.Background(), alg, make([]byte, n))
				wantClass(t, err, fmt.Sprintf("%v: %s over %d bytes", row.Spec, alg, n), driver.Invalid)
				if len(signature) != 0 {
					t.Errorf("%v: Sign by %s returned a signature with its error", row.Spec, alg)
				}
			}
		}
		closeKey(t, signer)
	}
}

func wrongLengths(alg driver.SignAlg) []int {
	if alg.TakesMessage() {
		return []int{driver.MaxInput + 1}
	}
	n := alg.DigestSize()
	return slices.DeleteFunc([]int{0, 1, 20, n - 1, n + 1, 2 * n, 48}, func(m int) bool { return m == n })
}

func signUnlistedAlgorithm(t tb, s *subject) {
	algs := []driver.SignAlg{"", "ROT_13"}
	for _, alg := range asymmetric() {
		algs = append(algs, alg.SignAlgs()...)
	}
	for _, row := range s.rows(driver.Sign) {
		signer := sharedKey[driver.Signer](t, s, row)
		for _, alg := range algs {
			if slices.Contains(row.Sign, alg) {
				continue
			}
			_, err := signer.Sign(context.Background(), alg, signInput(alg))
			wantClass(t, err, fmt.Sprintf("%v: unlisted %q", row.Spec, alg), driver.Unsupported)
		}
		closeKey(t, signer)
	}
}

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
