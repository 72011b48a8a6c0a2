package bench

import (
	"path/filepath"
	"testing"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// subject is a vault with one CMK, configured as a program would.
type subject struct {
	client vault.Client
	key    string
}

func newSubject(b *testing.B) subject {
	b.Helper()
	light := soft.PassphraseParams{Memory: 64, Time: 1}
	v, err := vault.Create(b.Context(), filepath.Join(b.TempDir(), "vault"), vault.Config{}, light.Passphrase([]byte("bench")))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := v.Close(); err != nil {
			b.Error(err)
		}
	})
	c := v.As(vault.DefaultOwner)
	k, err := c.CreateKey(b.Context(), vault.KeyOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return subject{c, k.ID}
}

// BenchmarkEncrypt measures Encrypt, including the durable audit record.
func BenchmarkEncrypt(b *testing.B) {
	p, s, plaintext := newBaseline(b), newSubject(b), make([]byte, 1024)
	raw := func() error { p.raw.Seal(plaintext); return nil }
	atEach(b, Ratio{Durable: p.durably(raw), Raw: raw, Op: func() error {
		_, err := s.client.Encrypt(b.Context(), s.key, plaintext, nil)
		return err
	}})
}

// BenchmarkDecrypt measures Decrypt, including the durable audit record.
func BenchmarkDecrypt(b *testing.B) {
	p, s := newBaseline(b), newSubject(b)
	ct, err := s.client.Encrypt(b.Context(), s.key, make([]byte, 1024), nil)
	if err != nil {
		b.Fatal(err)
	}
	sealed := p.raw.Seal(make([]byte, 1024))
	raw := func() error { _, err := p.raw.Open(sealed); return err }
	atEach(b, Ratio{Durable: p.durably(raw), Raw: raw, Op: func() error {
		_, err := s.client.Decrypt(b.Context(), ct, nil)
		return err
	}})
}

// BenchmarkGenerateDataKey measures GenerateDataKey and Destroy, including the durable
// audit record.
func BenchmarkGenerateDataKey(b *testing.B) {
	p, s := newBaseline(b), newSubject(b)
	raw := func() error { p.raw.DataKey(); return nil }
	atEach(b, Ratio{Durable: p.durably(raw), Raw: raw, Op: func() error {
		k, err := s.client.GenerateDataKey(b.Context(), s.key, vault.DataKey256, nil)
		if err == nil {
			k.Destroy()
		}
		return err
	}})
}
