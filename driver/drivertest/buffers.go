package drivertest

import (
	"bytes"
	"context"
	"crypto"

	"strongroom.example/driver"
)

// An untouched is an input with spare capacity, and a copy of both. A driver must write
// neither to the input nor to its capacity.
type untouched struct {
	name       string
	given, was []byte
}

func guard(name string, input []byte) *untouched {
	given := append(bytes.Clone(input), bytes.Repeat([]byte{0xA5}, 64)...)
	return &untouched{name: name, given: given[:len(input)], was: bytes.Clone(given)}
}

func (u *untouched) check(t tb) {
	t.Helper()
	if !bytes.Equal(u.given[:cap(u.given)][:len(u.was)], u.was) {
		t.Errorf("%s was modified, or written beyond its end", u.name)
	}
}

// inputNotModified checks each input of each method for modifications.
func inputNotModified(t tb, s *subject) {
	for _, row := range s.generated() {
		k := s.key(t, row)
		blob := guard("the blob for OpenKey", k.created.Blob)
		k.created.Blob = blob.given
		opened := openKey[driver.Key](t, s.Driver, k)
		blob.check(t)
		clear(blob.given)
		if err := use(context.Background(), s.key(t, row), opened); err != nil {
			t.Errorf("%v: use of the key after the caller wiped its blob: %v", row.Spec, err)
		}
		closeKey(t, opened)
	}
	for _, row := range s.importable() {
		in := guard("the material for ImportKey", s.encoded(t, row.Spec.Algorithm))
		k := importKey(t, s.Driver, row, in.given)
		in.check(t)
		s.discard(t, k)
	}
	prfInputs(t, s)
	signerInputs(t, s)
	decrypterInputs(t, s)
}

func prfInputs(t tb, s *subject) {
	for _, row := range s.rows(driver.Derive) {
		k := sharedKey[driver.PRF](t, s, row)
		in := guard("the input of PRF", randomBytes(60))
		if _, err := k.PRF(context.Background(), nil, in.given); err != nil {
			t.Errorf("%v: PRF: %v", row.Spec, err)
		}
		in.check(t)
		closeKey(t, k)
	}
}

func signerInputs(t tb, s *subject) {
	for _, row := range s.rows(driver.Sign) {
		k := sharedKey[driver.Signer](t, s, row)
		for _, alg := range row.Sign {
			in := guard("the input of Sign", signInput(alg))
			if _, err := k.Sign(context.Background(), alg, in.given); err != nil {
				t.Errorf("%v: Sign: %v", row.Spec, err)
			}
			in.check(t)
		}
		closeKey(t, k)
	}
}

func decrypterInputs(t tb, s *subject) {
	eachDecrypter(t, s, func(k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) {
		_, ciphertext := mustEncrypt(t, public, alg)
		in := guard("the ciphertext of Decrypt", ciphertext)
		if _, err := k.Decrypt(context.Background(), nil, alg, in.given); err != nil {
			t.Errorf("%s: Decrypt: %v", alg, err)
		}
		in.check(t)
	})
}

// An appender is a method that appends to dst, with good and with bad input.
type appender struct {
	name string
	good func(dst []byte) ([]byte, error)
	bad  func(dst []byte) ([]byte, error)
	want []byte // the bytes that good appends, nil if not known
}

// dstAppended checks the treatment of dst: its prefix is kept, output is in place if
// there is room, and after an error dst is not extended.
func dstAppended(t tb, s *subject) {
	for _, row := range s.rows(driver.Derive) {
		k := sharedKey[driver.PRF](t, s, row)
		prfAppends(k).check(t)
		closeKey(t, k)
	}
	eachDecrypter(t, s, func(k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) {
		decryptAppends(t, k, public, alg).check(t)
	})
}

func prfAppends(k driver.PRF) appender {
	ctx := context.Background()
	return appender{
		name: "PRF",
		good: func(dst []byte) ([]byte, error) { return k.PRF(ctx, dst, []byte("input")) },
		bad:  func(dst []byte) ([]byte, error) { return k.PRF(ctx, dst, make([]byte, 4097)) },
	}
}

func decryptAppends(t tb, k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) appender {
	ctx := context.Background()
	plaintext, ciphertext := mustEncrypt(t, public, alg)
	return appender{
		name: "Decrypt " + string(alg),
		good: func(dst []byte) ([]byte, error) { return k.Decrypt(ctx, dst, alg, ciphertext) },
		bad:  func(dst []byte) ([]byte, error) { return k.Decrypt(ctx, dst, alg, ciphertext[1:]) },
		want: plaintext,
	}
}

func (a appender) check(t tb) {
	t.Helper()
	for _, room := range []int{0, 8, 4096} {
		dst := append(make([]byte, 0, 6+room), "prefix"...)
		out, err := a.good(dst)
		if err != nil {
			t.Errorf("%s: %v", a.name, err)
			return
		}
		rest, kept := bytes.CutPrefix(out, []byte("prefix"))
		if !kept || len(rest) == 0 || a.want != nil && !bytes.Equal(rest, a.want) {
			t.Errorf("%s: the output was not appended to dst", a.name)
			return
		}
		if room >= len(rest) && &out[0] != &dst[0] {
			t.Errorf("%s: a secret output was reallocated although dst had capacity", a.name)
		}
	}
	a.checkError(t)
}

func (a appender) checkError(t tb) {
	t.Helper()
	dst := append(make([]byte, 0, 4096), "prefix"...)
	out, err := a.bad(dst)
	if err == nil {
		t.Errorf("%s: no error for bad input", a.name)
	}
	if len(out) > len(dst) || !bytes.HasPrefix([]byte("prefix"), out) || string(dst) != "prefix" {
		t.Errorf("%s: dst was changed or extended after an error", a.name)
	}
}
