//go:build cgo && unix

package guide

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"

	"strongroom.example/vault"
)

// decryptions are the flows in which openssl encrypts to a public key, and the vault
// decrypts.
func decryptions() (all []flow) {
	for _, x := range []struct {
		spec    vault.KeySpec
		alg     vault.EncryptionAlgorithm
		options string
	}{
		{vault.RSA2048, vault.RSAESOAEPSHA256, " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"},
		{vault.RSA2048, vault.RSAESOAEPSHA1, " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1"},
		{vault.RSA2048, vault.RSAESPKCS1V15, " -pkeyopt rsa_padding_mode:pkcs1"},
		{vault.SM2, vault.SM2C1C3C2, ""},
	} {
		name := "Decryption, " + string(x.alg)
		all = append(all, flow{name, func(s *stand) string {
			return s.each(vault.KeyOptions{Usage: vault.AsymmetricDecrypt, Spec: x.spec}, string(x.alg), func(k vault.Key) error {
				secret := s.random(32)
				s.Run("pkeyutl -encrypt -pubin -inkey public.pem -in random.bin -out sealed" + x.options)
				got, err := s.owner.AsymmetricDecrypt(s.Context(), k.ID, s.Read("sealed"), x.alg)
				if err == nil && !bytes.Equal(got, secret) {
					s.Errorf("%s: the secret came out changed", x.alg)
				}
				return err
			})
		}})
	}
	return all
}

// signatures are the flows in which the vault signs a message and a digest, and openssl
// verifies.
func signatures() (all []flow) {
	const files = " -verify public.pem -signature signature random.bin"
	for _, x := range []struct {
		spec   vault.KeySpec
		alg    vault.SignAlgorithm
		verify string
	}{
		{vault.RSA2048, vault.RSAPSSSHA256, "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1" + files},
		{vault.RSA2048, vault.RSAPKCS1SHA256, "dgst -sha256" + files},
		{vault.ECCP256, vault.ECCP256R1, "dgst -sha256" + files},
		{vault.SM2, vault.SM2DSA, "pkeyutl -verify -pubin -inkey public.pem -rawin -in random.bin -sigfile signature" +
			" -digest sm3 -pkeyopt distid:" + vault.SM2DefaultID},
	} {
		for _, kind := range []vault.MessageType{vault.Raw, vault.Digest} {
			name := "Signature, " + string(x.alg) + ", " + string(kind)
			all = append(all, flow{name, func(s *stand) string {
				return s.each(vault.KeyOptions{Usage: vault.SignVerify, Spec: x.spec}, string(x.alg), func(k vault.Key) error {
					return s.sign(k, vault.SignOptions{Algorithm: x.alg, MessageType: kind}, x.verify)
				})
			}})
		}
	}
	return all
}

// sign signs a message or its digest, and has openssl verify the signature.
func (s *stand) sign(k vault.Key, o vault.SignOptions, verify string) error {
	input := s.random(vault.MaxMessage)
	if o.MessageType == vault.Digest {
		input = s.digest(k, input)
	}
	signature, err := s.owner.Sign(s.Context(), k.ID, input, o)
	if err != nil {
		return err
	}
	s.Write("signature", signature)
	if out := s.Run(verify); !strings.Contains(out, "Verified OK") && !strings.Contains(out, "Signature Verified Successfully") {
		s.Errorf("openssl: %s", out)
	}
	ok, err := s.owner.Verify(s.Context(), k.ID, input, signature, o)
	if err == nil && !ok {
		s.Error("the vault does not verify its own signature")
	}
	input[0] ^= 1
	if ok, err := s.owner.Verify(s.Context(), k.ID, input, signature, o); err != nil || ok {
		s.Errorf("Verify of another message: %v, %v", ok, err)
	}
	return err
}

// digest returns the digest of a message: SM3 over Z and the message for SM2, else SHA-256.
func (s *stand) digest(k vault.Key, message []byte) []byte {
	if k.Spec != vault.SM2 {
		sum := sha256.Sum256(message)
		return sum[:]
	}
	public, err := s.owner.PublicKey(s.Context(), k.ID)
	s.ok(err)
	sum, err := vault.SM2Digest(public.DER, nil, bytes.NewReader(message))
	s.ok(err)
	return sum
}

// each runs a step with each kind of key that the column has; see keys. Its public key is in
// the file public.pem. If a key in the device lacks the algorithm, the step is run with a key
// of the software engine, and the cell is wrapped.
func (s *stand) each(o vault.KeyOptions, alg string, step func(k vault.Key) error) string {
	s.Helper()
	keys, cell := s.keys(o)
	for i := 0; i < len(keys); i++ {
		public, err := s.owner.PublicKey(s.Context(), keys[i].ID)
		s.ok(err)
		s.Write("public.pem", public.PEM())
		err = step(keys[i])
		switch {
		case s.refused(err, alg):
			return notInEdition
		case errors.Is(err, vault.ErrUnsupported) && keys[i].Residence == vault.Resident:
			o.Driver = "soft"
			k, err := s.owner.CreateKey(s.Context(), o)
			s.ok(err)
			keys, cell = append(keys, k), wrapped
		default:
			s.ok(err)
		}
	}
	return cell
}
