package vaultsuite

import (
	"strings"
	"testing"

	"strongroom.example/internal/testing/openssltest"
	"strongroom.example/vault"
)

// openSSLVerifies: openssl accepts the signatures of messages and of digests.
func openSSLVerifies(t *testing.T, s *subject) {
	for _, x := range s.signings() {
		if !x.can {
			continue
		}
		t.Run(x.String(), func(t *testing.T) {
			w := openssltest.New(t)
			p := s.shared.public(t, x.row)
			w.Write("public.pem", p.PEM())
			w.Write("message", []byte(message))
			digest := digestOf(t, x.signAlg, parse(t, p), []byte(message))
			for kind, input := range map[vault.MessageType][]byte{vault.Raw: []byte(message), vault.Digest: digest} {
				if input == nil {
					continue // Ed25519 signs no digests
				}
				o := vault.SignOptions{Algorithm: x.alg, MessageType: kind}
				signature, err := s.shared.owner().Sign(t.Context(), p.Key, input, o)
				if err != nil {
					t.Fatal(err)
				}
				w.Write("signature", signature)
				if out := w.Run(x.openssl); !strings.Contains(out, "Verified OK") && !strings.Contains(out, "Signature Verified Successfully") {
					t.Errorf("openssl on the signature of a %s: %s", kind, out)
				}
			}
		})
	}
}

// openSSLEncrypts: the vault decrypts messages that openssl encrypted to the public key.
func openSSLEncrypts(t *testing.T, s *subject) {
	for _, x := range s.decryptings() {
		if !x.can {
			continue
		}
		t.Run(x.String(), func(t *testing.T) {
			w := openssltest.New(t)
			p := s.shared.public(t, x.row)
			w.Write("public.pem", p.PEM())
			w.Write("message", []byte(message))
			w.Run("pkeyutl -encrypt -pubin -inkey public.pem -in message -out encrypted" + x.encryptAlg.openssl)
			got, err := s.shared.owner().AsymmetricDecrypt(t.Context(), p.Key, w.Read("encrypted"), x.alg)
			if err := same(got, err); err != nil {
				t.Error(err)
			}
		})
	}
}
