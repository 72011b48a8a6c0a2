//go:build cgo && unix

package guide

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// purpose is the encryption context of the flows.
var purpose = vault.EncryptionContext{"tenant": "7"}

// random returns n bytes that openssl made.
func (s *stand) random(n int) []byte {
	s.Helper()
	s.Run(fmt.Sprint("rand -out random.bin ", n))
	return s.Read("random.bin")
}

// encrypt encrypts under purpose.
func (s *stand) encrypt(key string, data []byte) []byte {
	s.Helper()
	ct, err := s.owner.Encrypt(s.Context(), key, data, purpose)
	s.ok(err)
	return ct
}

// decrypts checks that a ciphertext decrypts to data.
func (s *stand) decrypts(ct, data []byte) {
	s.Helper()
	if got, err := s.owner.Decrypt(s.Context(), ct, purpose); err != nil || !bytes.Equal(got, data) {
		s.Errorf("Decrypt: %d bytes, %v, want the %d bytes that were encrypted", len(got), err, len(data))
	}
}

// sensitiveData encrypts data of up to 4 KB directly under a CMK.
func sensitiveData(s *stand) string {
	keys, cell := s.keys(vault.KeyOptions{})
	for _, k := range keys {
		for _, size := range []int{1, vault.MaxPlaintext} {
			data := s.random(size)
			ct := s.encrypt(k.ID, data)
			if len(ct) != size+vault.Overhead {
				s.Errorf("the ciphertext of %d bytes has %d, want %d more", size, len(ct), vault.Overhead)
			}
			s.decrypts(ct, data)
			_, err := s.owner.Decrypt(s.Context(), ct, vault.EncryptionContext{"tenant": "8"})
			s.want("another context", err, vault.ErrCiphertext)
			ct[len(ct)-1] ^= 1
			_, err = s.owner.Decrypt(s.Context(), ct, purpose)
			s.want("a flipped bit", err, vault.ErrCiphertext)
		}
		_, err := s.owner.Encrypt(s.Context(), k.ID, make([]byte, vault.MaxPlaintext+1), nil)
		s.want("too much data", err, vault.ErrTooLarge)
	}
	return cell
}

// envelope encrypts several messages under one data key, and decrypts them with the data key
// that its ciphertext opens to.
func envelope(s *stand) string {
	keys, cell := s.keys(vault.KeyOptions{})
	for _, k := range keys {
		made, err := s.owner.GenerateDataKey(s.Context(), k.ID, vault.DataKeyDefault, purpose)
		s.ok(err)
		defer made.Destroy()
		sealer, err := made.AEAD()
		s.ok(err)
		var sealed, plain [][]byte
		for range 3 {
			data := s.random(1000)
			plain, sealed = append(plain, data), append(sealed, sealer.Seal(nil, nil, data, nil)) // with a random nonce
		}
		again, err := s.owner.OpenDataKey(s.Context(), made.Ciphertext(), purpose)
		s.ok(err)
		defer again.Destroy()
		opener, err := again.AEAD()
		s.ok(err)
		for i, b := range sealed {
			if got, err := opener.Open(nil, nil, b, nil); err != nil || !bytes.Equal(got, plain[i]) {
				s.Errorf("message %d: %d bytes, %v", i, len(got), err)
			}
		}
		_, err = s.owner.GenerateDataKeyWithoutPlaintext(s.Context(), k.ID, maxDataKey, purpose)
		s.ok(err)
		_, err = s.owner.GenerateDataKeyWithoutPlaintext(s.Context(), k.ID, maxDataKey+1, purpose)
		s.want("a data key of more bytes", err, vault.ErrTooLarge)
	}
	return cell
}

// largeFile seals a file of openssl's under a data key, and compares by openssl's digests.
func largeFile(s *stand) string {
	keys, cell := s.keys(vault.KeyOptions{})
	s.Write("original", s.random(5<<20+1))
	for _, k := range keys {
		s.ok(s.seal(k.ID, "original", "sealed"))
		s.ok(s.open("sealed", "opened"))
		if a, b := s.Run("dgst -sha256 -r original"), s.Run("dgst -sha256 -r opened"); a[:64] != b[:64] {
			s.Errorf("the file came back changed: %s, %s", a, b)
		}
		sealed := s.Read("sealed")
		s.Write("cut", sealed[:len(sealed)-1])
		s.want("a shorter file", s.open("cut", "opened"), stream.ErrStream)
		sealed[len(sealed)/2] ^= 1
		s.Write("flipped", sealed)
		s.want("a flipped bit", s.open("flipped", "opened"), stream.ErrStream)
	}
	return cell
}

// seal encrypts a file under a data key of its own.
func (s *stand) seal(key, from, to string) error {
	in, err := os.Open(filepath.Join(s.Dir, from))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(s.Dir, to))
	if err != nil {
		return err
	}
	defer out.Close()
	dk, err := s.owner.GenerateDataKey(s.Context(), key, vault.DataKeyDefault, purpose)
	if err != nil {
		return err
	}
	defer dk.Destroy()
	w, err := stream.NewWriter(out, stream.KeySuite, dk)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, w.Close(), out.Close())
}

// open decrypts a file.
func (s *stand) open(from, to string) error {
	in, err := os.Open(filepath.Join(s.Dir, from))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(s.Dir, to))
	if err != nil {
		return err
	}
	defer out.Close()
	var dk *vault.DataKey
	defer func() { dk.Destroy() }()
	r, err := stream.NewReader(in, func(ct []byte) (_ stream.DataKey, err error) {
		dk, err = s.owner.OpenDataKey(s.Context(), ct, purpose)
		return dk, err
	})
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
