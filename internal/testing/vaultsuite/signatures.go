package vaultsuite

import (
	"crypto/rand"
	"crypto/x509/pkix"
	"errors"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/internal/testing/tlstest"
	"strongroom.example/vault"
)

// signatures: every algorithm of every spec signs messages and digests. Verifiers outside
// the vault accept the signature for this message only.
func signatures(t *testing.T, s *subject) {
	for _, x := range s.signings() {
		t.Run(x.String(), func(t *testing.T) {
			if !x.can {
				s.wantNoSignature(t, x)
				return
			}
			for _, kind := range []vault.MessageType{vault.Raw, vault.Digest} {
				s.signsFor(t, x, kind)
			}
		})
	}
}

func (s *subject) wantNoSignature(t *testing.T, x signing) {
	t.Helper()
	o := vault.SignOptions{Algorithm: x.alg}
	if _, err := s.shared.owner().Sign(t.Context(), s.shared.key(t, x.row).ID, []byte(message), o); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("Sign by an algorithm that is not supported: %v, want ErrUnsupported", err)
	}
}

// signsFor signs the message or its digest, and checks that only the right combinations
// verify.
func (s *subject) signsFor(t *testing.T, x signing, kind vault.MessageType) {
	t.Helper()
	ctx, c := t.Context(), s.shared.owner()
	k, public := s.shared.key(t, x.row).ID, parse(t, s.shared.public(t, x.row))
	o, input := vault.SignOptions{Algorithm: x.alg, MessageType: kind}, []byte(message)
	digest := digestOf(t, x.signAlg, public, input)
	if kind == vault.Digest {
		s.wrongDigests(t, x, k, len(digest))
		if digest == nil {
			return
		}
		input = digest
	}
	signature, err := c.Sign(ctx, k, input, o)
	if err != nil {
		t.Fatal(err)
	}
	if !verifies(t, x.signAlg, public, []byte(message), signature) || verifies(t, x.signAlg, public, []byte("other"), signature) {
		t.Errorf("%s: outside the vault the signature does not verify, or verifies for another message", kind)
	}
	s.verifiesOnly(t, x, k, kind, signature)
	if digest != nil {
		o.MessageType = vault.Digest
		if ok, err := c.Verify(ctx, k, digest, signature, o); !ok || err != nil {
			t.Errorf("Verify of a signature of a %s by its digest: %v, %v, want true", kind, ok, err)
		}
	}
}

// verifiesOnly checks that Verify accepts the signature, and none that differs from it.
func (s *subject) verifiesOnly(t *testing.T, x signing, key string, kind vault.MessageType, signature []byte) {
	t.Helper()
	flipped := append([]byte(nil), signature...)
	flipped[len(flipped)-1] ^= 1
	for name, row := range map[string]struct {
		message   string
		signature []byte
		want      bool
	}{
		"good": {message, signature, true}, "other message": {"other", signature, false}, "flipped": {message, flipped, false},
		"cut": {message, signature[:len(signature)-1], false}, "empty": {message, nil, false},
	} {
		ok, err := s.shared.owner().Verify(t.Context(), key, []byte(row.message), row.signature, vault.SignOptions{Algorithm: x.alg})
		if ok != row.want || err != nil {
			t.Errorf("Verify of a signature of a %s, %s: %v, %v", kind, name, ok, err)
		}
	}
}

// wrongDigests signs digests of lengths that the algorithm does not accept.
func (s *subject) wrongDigests(t *testing.T, x signing, key string, size int) {
	t.Helper()
	o := vault.SignOptions{Algorithm: x.alg, MessageType: vault.Digest}
	for _, n := range []int{0, 1, size - 1, size + 1} {
		if n < 0 {
			continue
		}
		if _, err := s.shared.owner().Sign(t.Context(), key, make([]byte, n), o); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("Sign of a digest of %d bytes: %v, want ErrInvalid", n, err)
		}
	}
}

// badMessages: input that no key can sign has its own error, which is returned before the
// device is called.
func badMessages(t *testing.T, s *subject) {
	ctx, c := t.Context(), s.shared.owner()
	for _, r := range s.each() {
		if r.usage != vault.SignVerify {
			continue
		}
		k, first := s.shared.key(t, r).ID, s.firstSigning(t, r)
		if _, err := c.Sign(ctx, k, make([]byte, vault.MaxMessage), vault.SignOptions{Algorithm: first}); err != nil {
			t.Errorf("Sign of a message of %d bytes: %v", vault.MaxMessage, err)
		}
		before := s.shared.calls()
		for name, row := range map[string]struct {
			message []byte
			o       vault.SignOptions
			want    error
		}{
			"long message":      {make([]byte, vault.MaxMessage+1), vault.SignOptions{}, vault.ErrTooLarge},
			"unknown type":      {nil, vault.SignOptions{MessageType: "HASH"}, vault.ErrInvalid},
			"unknown algorithm": {nil, vault.SignOptions{Algorithm: "x"}, vault.ErrInvalid},
			"long SM2 id":       {nil, vault.SignOptions{SM2ID: make([]byte, 8192)}, vault.ErrTooLarge},
			"SM2 id and digest": {make([]byte, 32), vault.SignOptions{SM2ID: []byte("x"), MessageType: vault.Digest}, vault.ErrInvalid},
		} {
			if _, err := c.Sign(ctx, k, row.message, row.o); !errors.Is(err, row.want) {
				t.Errorf("%s: %v, want %v", name, err, row.want)
			}
		}
		if n := s.shared.calls() - before; n != 0 {
			t.Errorf("%d device calls for input that no key signs, want 0", n)
		}
	}
}

// certificates: a key is a crypto.Signer with which the standard library makes a
// certificate request, a certificate and a TLS 1.3 handshake, and gmsm a certificate
// request with SM2.
func certificates(t *testing.T, s *subject) {
	for _, r := range s.usable() {
		if r.usage != vault.SignVerify {
			continue
		}
		t.Run(r.String(), func(t *testing.T) {
			signer, err := s.shared.owner().Signer(t.Context(), s.shared.key(t, r).ID)
			if err != nil {
				t.Fatal(err)
			}
			if r.spec == vault.SM2 {
				requestBySM2(t, signer)
				return
			}
			tlstest.Request(t, signer)
			tlstest.Handshake(t, signer)
		})
	}
	for _, r := range s.each() {
		if r.usage != vault.SignVerify {
			if _, err := s.shared.owner().Signer(t.Context(), s.shared.key(t, r).ID); !errors.Is(err, vault.ErrUsage) {
				t.Errorf("Signer with a key of %s: %v, want ErrUsage", r, err)
			}
		}
	}
}

func requestBySM2(t *testing.T, s *vault.Signer) {
	t.Helper()
	template := &smx509.CertificateRequest{Subject: pkix.Name{CommonName: tlstest.Host}}
	der, err := smx509.CreateCertificateRequest(rand.Reader, template, s)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := smx509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
}
