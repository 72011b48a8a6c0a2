package tpm_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"testing"
)

func parsePublic(t testing.TB, der []byte) any {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func verifyECDSA(public any, digest, signature []byte) bool {
	key, ok := public.(*ecdsa.PublicKey)
	return ok && ecdsa.VerifyASN1(key, digest, signature)
}
