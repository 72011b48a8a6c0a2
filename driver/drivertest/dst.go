package drivertest

import (
	"bytes"
	"context"
	"crypto"

	"strongroom.example/driver"
)

// An appender is a method that appends to dst, with good and with bad input.
type appender struct {
	name    string
	good    func(dst []byte) ([]byte, error)
	bad     func(dst []byte) ([]byte, error)
	want    []byte // the bytes that good appends, nil if not known
	secret  bool   // the output must be in place if dst has room
	visible bool   // want derives from bad's input: it must not be left in dst
}

// dstAppended checks the treatment of dst: its prefix is kept, output is in place if
// there is room, and after an error dst is not extended and holds no plaintext.
func dstAppended(t tb, s *subject) {
	for _, row := range s.rows(driver.Derive) {
		k := sharedKey[driver.PRF](t, s, row)
		prfAppends(k).check(t)
		closeKey(t, k)
	}
	eachAEAD(t, s, func(k driver.AEAD) {
		sealAppends(k).check(t)
		openAppends(t, k).check(t)
	})
	eachDecrypter(t, s, func(k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) {
		decryptAppends(t, k, public, alg).check(t)
	})
}

func prfAppends(k driver.PRF) appender {
	ctx := context.Background()
	return appender{
		name:   "PRF",
		good:   func(dst []byte) ([]byte, error) { return k.PRF(ctx, dst, []byte("input")) },
		bad:    func(dst []byte) ([]byte, error) { return k.PRF(ctx, dst, make([]byte, 4097)) },
		secret: true,
	}
}

func sealAppends(k driver.AEAD) appender {
	return appender{
		name: "Seal",
		good: func(dst []byte) ([]byte, error) { return k.Seal(context.Background(), dst, []byte("plaintext"), nil) },
	}
}

func openAppends(t tb, k driver.AEAD) appender {
	ctx := context.Background()
	plaintext := randomBytes(64)
	ciphertext := seal(t, k, plaintext, nil)
	return appender{
		name:    "Open",
		good:    func(dst []byte) ([]byte, error) { return k.Open(ctx, dst, ciphertext, nil) },
		bad:     func(dst []byte) ([]byte, error) { return k.Open(ctx, dst, ciphertext, []byte("other")) },
		want:    plaintext,
		secret:  true,
		visible: true,
	}
}

func decryptAppends(t tb, k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) appender {
	ctx := context.Background()
	plaintext, ciphertext := mustEncrypt(t, public, alg)
	return appender{
		name:   "Decrypt " + string(alg),
		good:   func(dst []byte) ([]byte, error) { return k.Decrypt(ctx, dst, alg, ciphertext) },
		bad:    func(dst []byte) ([]byte, error) { return k.Decrypt(ctx, dst, alg, ciphertext[1:]) },
		want:   plaintext,
		secret: true,
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
		if a.secret && room >= len(rest) && &out[0] != &dst[0] {
			t.Errorf("%s: a secret output was reallocated although dst had capacity", a.name)
		}
	}
	if a.bad != nil {
		a.checkError(t)
	}
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
	if a.visible && bytes.Contains(dst[:cap(dst)], a.want) {
		t.Errorf("%s: the plaintext is left in the capacity of dst after an error", a.name)
	}
}
