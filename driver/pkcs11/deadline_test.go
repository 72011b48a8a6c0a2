//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/internal/testing/testtoken"
)

// TestDeadlineEndsWait makes a function of the module hang during each operation. The
// caller gets the context's error while it hangs, its buffers are not accessed
// afterwards, and the driver works once the call has returned.
func TestDeadlineEndsWait(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	v := newTestKey(t, d)
	keys := make(map[driver.KeySpec]driver.Key)
	for _, spec := range []driver.KeySpec{{Algorithm: driver.ECP256, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt}} {
		id := freshID()
		if _, err := d.GenerateKey(t.Context(), id, spec); err != nil {
			t.Fatal(err)
		}
		k, err := d.OpenKey(t.Context(), id, spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		keys[spec] = k
	}
	digest, ciphertext := sha256.Sum256(nil), make([]byte, 256)
	buffer := bytes.Repeat([]byte{7}, 1024)
	ecdsa := driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
	decrypt := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
	for name, c := range map[string]struct {
		hangs testtoken.PKCS11Call
		call  func(context.Context) error
	}{
		"PRF": {testtoken.CSign, func(ctx context.Context) error { _, err := v.key.PRF(ctx, buffer[:0], []byte("input")); return err }},
		"Sign": {testtoken.CSign, func(ctx context.Context) error {
			_, err := keys[ecdsa].(driver.Signer).Sign(ctx, driver.ECDSASHA256, digest[:])
			return err
		}},
		"Decrypt": {testtoken.CDecrypt, func(ctx context.Context) error {
			_, err := keys[decrypt].(driver.Decrypter).Decrypt(ctx, buffer[:0], driver.RSARaw, ciphertext)
			return err
		}},
		"Random":      {testtoken.CGenerateRandom, func(ctx context.Context) error { return d.(driver.Random).Random(ctx, buffer) }},
		"GenerateKey": {testtoken.CGenerateKey, func(ctx context.Context) error { _, err := d.GenerateKey(ctx, freshID(), derive); return err }},
		"ImportKey": {testtoken.CCreateObject, func(ctx context.Context) error {
			_, err := d.(driver.Importer).ImportKey(ctx, freshID(), derive, make([]byte, 32))
			return err
		}},
		"OpenKey":    {testtoken.CFindObjects, func(ctx context.Context) error { _, err := d.OpenKey(ctx, v.id, derive, nil); return err }},
		"DestroyKey": {testtoken.CFindObjects, func(ctx context.Context) error { return d.DestroyKey(ctx, freshID(), nil) }},
		"ListKeys": {testtoken.CFindObjects, func(ctx context.Context) error {
			for _, err := range d.(driver.Lister).ListKeys(ctx) {
				return err
			}
			return nil
		}},
		"Open of the token": {testtoken.CGetSessionInfo, func(ctx context.Context) error {
			other, err := pkcs11.Open(ctx, config(faulty.PKCS11))
			if err == nil {
				other.Close()
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			faulty.Hang(c.hangs)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			returned := make(chan error, 1)
			go func() { returned <- c.call(ctx) }()
			select {
			case err := <-returned:
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s while the module hangs: %v, want DeadlineExceeded", name, err)
				}
			case <-time.After(time.Minute):
				t.Errorf("%s has not returned a minute after its deadline", name)
			}
			if !bytes.Equal(buffer, bytes.Repeat([]byte{7}, len(buffer))) {
				t.Errorf("%s changed the caller's buffer", name)
			}
			faulty.Release()
			v.mustWork(t, "after a call that hung")
			if !bytes.Equal(buffer, bytes.Repeat([]byte{7}, len(buffer))) {
				t.Errorf("%s changed the caller's buffer after it returned", name)
			}
		})
	}
}

// TestCloseIsBounded: while a call hangs in the module, Close of its key and of the
// driver return an error, and the driver is closed once the call has returned.
func TestCloseIsBounded(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := open(t, faulty.PKCS11)
	v := newTestKey(t, d)
	pkcs11.LimitClose(d, 20*time.Millisecond)
	faulty.Hang(testtoken.CSign)
	used := make(chan error, 1)
	go func() { _, err := v.key.PRF(context.Background(), nil, []byte("input")); used <- err }()
	faulty.AwaitHang(t)
	for name, closes := range map[string]func() error{"key": v.key.Close, "driver": d.Close} {
		if err := closes(); !is(err, driver.Unavailable) {
			t.Errorf("Close of the %s while a call hangs: %v, want Unavailable", name, err)
		}
	}
	if _, err := d.OpenKey(t.Context(), v.id, derive, nil); !is(err, driver.Unavailable) {
		t.Errorf("OpenKey after Close: %v, want Unavailable", err)
	}
	finalized := faulty.Calls(testtoken.CFinalize)
	faulty.Release()
	if err := <-used; err != nil {
		t.Errorf("the call that hung: %v, want nil", err)
	}
	poll.Until(t, "the module is finalised once the call has returned", func() bool { return faulty.Calls(testtoken.CFinalize) > finalized })
}
