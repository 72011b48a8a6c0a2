package soft_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"crypto/ecdsa"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/lockedmem"
)

func newDriver(t testing.TB, cfg soft.Config) *soft.Driver {
	t.Helper()
	d, err := soft.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

// importKey imports under a fresh id and opens.
func importKey(t *testing.T, d *soft.Driver, spec driver.KeySpec, material []byte) driver.Key {
	t.Helper()
	var id driver.MaterialID
	rand.Read(id[:])
	c, err := d.ImportKey(context.Background(), id, spec, material)
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.OpenKey(context.Background(), id, spec, c.Blob)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var prfSpec = driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}

func TestEditions(t *testing.T) {
	for e, sm := range map[driver.Edition]bool{driver.Standard: true, driver.FIPS: false, driver.SM: true} {
		d := newDriver(t, soft.Config{Edition: e})
		for _, alg := range []driver.KeySpec{{Algorithm: driver.HMACSM3, Usage: driver.Derive},
			{Algorithm: driver.SM2, Usage: driver.Sign}, {Algorithm: driver.SM2, Usage: driver.Decrypt}} {
			_, err := d.GenerateKey(context.Background(), driver.MaterialID{}, alg)
			if (err == nil) != sm || !sm && !errors.Is(err, driver.Unsupported) {
				t.Errorf("%v %v: %v", e, alg, err)
			}
		}
	}
	if _, err := soft.Open(t.Context(), soft.Config{Edition: 9}); !errors.Is(err, driver.Invalid) {
		t.Errorf("Open with an unknown edition: %v", err)
	}
	if _, err := soft.Open(t.Context(), soft.Config{Key: make([]byte, 31)}); !errors.Is(err, driver.Invalid) {
		t.Errorf("Open with a short key: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := soft.Open(done, soft.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that is done: %v", err)
	}
}

func TestBlobIsBound(t *testing.T) {
	ctx := context.Background()
	for _, e := range []driver.Edition{driver.Standard, driver.SM} {
		d := newDriver(t, soft.Config{Key: bytes.Repeat([]byte{7}, 32), Edition: e})
		id := driver.MaterialID{1}
		c, err := d.GenerateKey(ctx, id, prfSpec)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(c.Blob) * 8 {
			blob := bytes.Clone(c.Blob)
			blob[bit/8] ^= 1 << (bit % 8)
			if _, err := d.OpenKey(ctx, id, prfSpec, blob); !errors.Is(err, driver.Authentic) {
				t.Fatalf("OpenKey with bit %d of the blob flipped: %v", bit, err)
			}
		}
		for n := range c.Blob {
			if _, err := d.OpenKey(ctx, id, prfSpec, c.Blob[:n]); !errors.Is(err, driver.Authentic) {
				t.Fatalf("OpenKey with the blob truncated to %d bytes: %v", n, err)
			}
		}
		if _, err := d.OpenKey(ctx, driver.MaterialID{2}, prfSpec, c.Blob); !errors.Is(err, driver.Authentic) {
			t.Errorf("OpenKey under another id: %v", err)
		}
		other := driver.KeySpec{Algorithm: driver.HMACSM3, Usage: driver.Derive}
		if _, err := d.OpenKey(ctx, id, other, c.Blob); !errors.Is(err, driver.Authentic) {
			t.Errorf("OpenKey under another spec: %v", err)
		}
		again := newDriver(t, soft.Config{Key: bytes.Repeat([]byte{7}, 32), Edition: e})
		if _, err := again.OpenKey(ctx, id, prfSpec, c.Blob); err != nil {
			t.Errorf("OpenKey in another engine with the same wrapping key: %v", err)
		}
		stranger := newDriver(t, soft.Config{Edition: e})
		if _, err := stranger.OpenKey(ctx, id, prfSpec, c.Blob); !errors.Is(err, driver.Authentic) {
			t.Errorf("OpenKey in an engine with another wrapping key: %v", err)
		}
	}
}

func TestExportMaterial(t *testing.T) {
	ctx := context.Background()
	d := newDriver(t, soft.Config{})
	raw := bytes.Repeat([]byte{9}, 32)
	c, err := d.ImportKey(ctx, driver.MaterialID{1}, prfSpec, raw)
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.ExportMaterial(ctx, soft.Material{ID: driver.MaterialID{1}, Spec: prfSpec, Blob: c.Blob}, []byte("x"))
	if err != nil || !bytes.Equal(out, append([]byte("x"), raw...)) {
		t.Errorf("%x, %v", out, err)
	}
	if _, err := d.ExportMaterial(ctx, soft.Material{ID: driver.MaterialID{2}, Spec: prfSpec, Blob: c.Blob}, nil); !errors.Is(err, driver.Authentic) {
		t.Errorf("ExportMaterial under another id: %v", err)
	}
}

func TestLockedMemoryExhausted(t *testing.T) {
	ctx := context.Background()
	d := newDriver(t, soft.Config{MaxLocked: 16 << 10})
	c, err := d.GenerateKey(ctx, driver.MaterialID{}, prfSpec)
	if err != nil {
		t.Fatal(err)
	}
	var keys []driver.Key
	for len(keys) < 10_000 {
		key, openErr := d.OpenKey(ctx, driver.MaterialID{}, prfSpec, c.Blob)
		if err = openErr; err != nil {
			break
		}
		keys = append(keys, key)
	}
	if !errors.Is(err, driver.Throttled) || !errors.Is(err, lockedmem.ErrExhausted) {
		t.Fatalf("OpenKey after %d open keys: %v", len(keys), err)
	}
	keys[0].Close()
	if _, err := d.OpenKey(ctx, driver.MaterialID{}, prfSpec, c.Blob); err != nil {
		t.Errorf("OpenKey after one key was closed: %v", err)
	}
}

func TestSM2(t *testing.T) {
	ctx := context.Background()
	d := newDriver(t, soft.Config{Edition: driver.SM})
	id, spec := driver.MaterialID{3}, driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Sign}
	c, err := d.GenerateKey(ctx, id, spec)
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.OpenKey(ctx, id, spec, c.Blob)
	if err != nil {
		t.Fatal(err)
	}
	e := bytes.Repeat([]byte{5}, 32)
	sig, err := key.(driver.Signer).Sign(ctx, driver.SM2DSA, e)
	if err != nil {
		t.Fatal(err)
	}
	if err := soft.Verify(c.PublicDER, driver.SM2DSA, e, sig); err != nil {
		t.Error(err)
	}
	e[0]++
	if err := soft.Verify(c.PublicDER, driver.SM2DSA, e, sig); !errors.Is(err, driver.Authentic) {
		t.Errorf("Verify over another digest: %v", err)
	}
	spec.Usage = driver.Decrypt
	if c, err = d.GenerateKey(ctx, id, spec); err != nil {
		t.Fatal(err)
	}
	if key, err = d.OpenKey(ctx, id, spec, c.Blob); err != nil {
		t.Fatal(err)
	}
	pub, err := smx509.ParsePKIXPublicKey(c.PublicDER)
	if err != nil {
		t.Fatal(err)
	}
	ct, err := sm2.EncryptASN1(rand.Reader, pub.(*ecdsa.PublicKey), []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	pt, err := key.(driver.Decrypter).Decrypt(ctx, nil, driver.SM2ASN1, ct)
	if err != nil || string(pt) != "hello" {
		t.Errorf("%q, %v", pt, err)
	}
	for n := range ct {
		bad := bytes.Clone(ct)
		bad[n] ^= 1
		for _, b := range [][]byte{bad, ct[:n]} {
			if _, err := key.(driver.Decrypter).Decrypt(ctx, nil, driver.SM2ASN1, b); !errors.Is(err, driver.Authentic) {
				t.Errorf("byte %d: %v", n, err)
			}
		}
	}
}

func TestClosed(t *testing.T) {
	ctx := context.Background()
	d := newDriver(t, soft.Config{})
	key := importKey(t, d, prfSpec, make([]byte, 32)).(driver.PRF)
	other := importKey(t, d, prfSpec, make([]byte, 32)).(driver.PRF)
	if err := errors.Join(other.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if _, err := other.PRF(ctx, nil, nil); !errors.Is(err, driver.Unavailable) {
		t.Errorf("use of a closed key: %v", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := key.PRF(done, nil, nil); err != context.Canceled {
		t.Errorf("use with a canceled context: %v", err)
	}
	if err := errors.Join(d.Close(), d.Close(), key.Close()); err != nil {
		t.Error(err)
	}
	if _, err := key.PRF(ctx, nil, nil); !errors.Is(err, driver.Unavailable) {
		t.Errorf("use of a closed driver: %v", err)
	}
	if _, err := d.GenerateKey(ctx, driver.MaterialID{}, prfSpec); !errors.Is(err, driver.Unavailable) {
		t.Errorf("use of a closed driver: %v", err)
	}
}
