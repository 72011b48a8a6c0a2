package tpm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
)

// dialer adapts the Dial of a wire or a TPM to Config.Dial.
func dialer(dial func() (testtoken.Conn, error)) func() (transport.TPMCloser, error) {
	return func() (transport.TPMCloser, error) { return dial() }
}

// openWired opens a fresh TPM through a wire.
func openWired(t testing.TB) (*tpm.Driver, *testtoken.Wire, *testtoken.SWTPM) {
	t.Helper()
	s := chip(t)
	w := testtoken.NewWire(s.Dial)
	return openConfig(t, tpm.Config{Dial: dialer(w.Dial)}), w, s
}

var (
	hmacSpec = driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	p256Spec = driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
)

// A named is a key that a test generated, with its id and spec.
type named struct {
	id   driver.MaterialID
	spec driver.KeySpec
	driver.Created
}

func generate(t testing.TB, d driver.Driver, spec driver.KeySpec) named {
	t.Helper()
	n := named{spec: spec}
	rand.Read(n.id[:])
	var err error
	if n.Created, err = d.GenerateKey(context.Background(), n.id, spec); err != nil {
		t.Fatal(err)
	}
	return n
}

func openAs[K driver.Key](t testing.TB, d driver.Driver, n named) K {
	t.Helper()
	k, err := d.OpenKey(context.Background(), n.id, n.spec, n.Blob)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k.(K)
}

// prf calls PRF with a fixed input.
func prf(t testing.TB, k driver.PRF) []byte {
	t.Helper()
	out, err := k.PRF(context.Background(), nil, []byte("question"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCodesThatPass makes the TPM respond with codes after which a call must still
// succeed.
func TestCodesThatPass(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	for _, codes := range [][]uint32{
		{0x922}, {0x922, 0x922, 0x922}, // RETRY
		{0x908}, {0x90A}, {0x909}, // YIELDED, TESTING, CANCELED
		{0x920}, {0x923}, // NV_RATE, NV_UNAVAILABLE
		{0x902}, {0x904}, // OBJECT_MEMORY, MEMORY
		{0x903}, {0x905}, {0x901}, // SESSION_MEMORY, SESSION_HANDLES, CONTEXT_GAP
		{0x910}, {0x918}, {0x18B}, {0x98B}, // REFERENCE_H0 and S0, HANDLE
		{0x100}, {0x130}, // INITIALIZE, REBOOT
		{0x910, 0x902, 0x922}, // several in succession
	} {
		w.Answer(0x155, 0, codes...)
		if out, err := k.PRF(context.Background(), nil, []byte("question")); err != nil || !bytes.Equal(out, want) {
			t.Errorf("after %x: %v", codes, err)
		}
	}
	for _, executed := range []bool{false, true} {
		w.Break(0x155, 0, executed)
		if out, err := k.PRF(context.Background(), nil, []byte("question")); err != nil || !bytes.Equal(out, want) {
			t.Errorf("after a broken connection (executed: %v): %v", executed, err)
		}
	}
}

// TestCodesThatStay makes the TPM respond with codes that end a call. Each must have its
// class, and the driver must send one command: it must not retry, because some of these
// codes count as an attack.
func TestCodesThatStay(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	for code, class := range map[uint32]driver.Class{
		0x921: driver.Denied,      // LOCKOUT
		0x98E: driver.Denied,      // AUTH_FAIL
		0x9A2: driver.Denied,      // BAD_AUTH
		0x12F: driver.Denied,      // AUTH_UNAVAILABLE
		0x99D: driver.Denied,      // POLICY_FAIL
		0x101: driver.Unknown,     // FAILURE
		0x12D: driver.Unknown,     // UPGRADE
		0x1C4: driver.Unknown,     // VALUE
		0x1DF: driver.Authentic,   // INTEGRITY
		0x143: driver.Unsupported, // COMMAND_CODE
	} {
		before := w.Count()
		w.Answer(0x155, 0, code)
		_, err := k.PRF(context.Background(), nil, []byte("question"))
		var e *driver.Error
		if !errors.As(err, &e) || e.Class != class || e.Code != uint64(code) {
			t.Errorf("code 0x%X: %v, want %v", code, err, class)
		}
		if n := w.Count() - before; n != 1 {
			t.Errorf("code 0x%X: %d commands, want 1", code, n)
		}
		if !bytes.Equal(prf(t, k), want) {
			t.Errorf("PRF after code 0x%X returned another result than before", code)
		}
	}
}

// TestBadPaddingIsNoBreakdown responds to a decryption as libtpms does for a wrong
// padding, with a TPM that is healthy and one that is not.
func TestBadPaddingIsNoBreakdown(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.Decrypter](t, d, generate(t, d, driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}))
	ciphertext := make([]byte, 256)
	ciphertext[255] = 7
	decrypt := func() error {
		_, err := k.Decrypt(context.Background(), nil, driver.RSAOAEPSHA256, ciphertext)
		return err
	}
	if err := decrypt(); !errors.Is(err, driver.Authentic) {
		t.Errorf("Decrypt of a wrong padding on a healthy TPM: %v, want Authentic", err)
	}
	w.Answer(0x159, 0, 0x101)
	w.Answer(0x17C, 0, 0x101)
	if err := decrypt(); !errors.Is(err, driver.Unknown) {
		t.Errorf("Decrypt on a TPM that failed its self-test: %v, want Unknown", err)
	}
}

// TestContextOfOldIsReplaced corrupts the saved context of a key. The key must load from
// its blob.
func TestContextOfOldIsReplaced(t *testing.T) {
	d, w, _ := openWired(t)
	keys := make([]driver.PRF, 3)
	var want [][]byte
	for i := range keys {
		keys[i] = openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
		want = append(want, prf(t, keys[i]))
	}
	for i, k := range keys {
		w.Answer(0x161, 0, 0x1DF)
		if !bytes.Equal(prf(t, k), want[i]) {
			t.Errorf("PRF with key %d returned another result than before", i)
		}
	}
}

// TestRogueClientFillsTPM fills all slots of the TPM while the driver is open.
func TestRogueClientFillsTPM(t *testing.T) {
	d, _, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	fill(t, d)
	other := named{spec: p256Spec}
	_, err := d.GenerateKey(context.Background(), other.id, other.spec)
	if err != nil && !errors.Is(err, driver.Throttled) {
		t.Errorf("use of a key on a TPM that another program filled: %v", err)
	}
	t.Logf("use of a key on a TPM that another program filled: %v", err)
	if out, err := k.PRF(context.Background(), nil, []byte("question")); err == nil && !bytes.Equal(out, want) {
		t.Error("PRF returned another result than before")
	}
}

// fill fills all slots of a TPM.
func fill(t *testing.T, d *tpm.Driver) {
	t.Helper()
	err := d.Do(func(c transport.TPM) error {
		for {
			_, err := tpm2.CreatePrimary{
				PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHNull, Auth: tpm2.PasswordAuth(nil)},
				InPublic:      tpm2.New2B(tpm2.ECCSRKTemplate),
			}.Execute(c)
			if errors.Is(err, tpm2.TPMRCObjectMemory) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReset resets the TPM under an open driver, in each way.
func TestReset(t *testing.T) {
	d, w, s := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	sign := openAs[driver.Signer](t, d, generate(t, d, p256Spec))
	third := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	for name, reset := range map[string]func() error{
		"a reset of the running TPM": s.Reset,
		"a power cut":                func() error { s.Kill(); return s.Start() },
		"a lost connection":          func() error { w.Break(0, 0, false); return nil },
	} {
		for range 3 {
			if err := reset(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(prf(t, k), want) {
				t.Errorf("%s: PRF returned another result than before", name)
			}
			prf(t, third)
			if _, err := sign.Sign(context.Background(), driver.ECDSASHA256, make([]byte, 32)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestGone turns the TPM off. All waiting calls must fail within a second.
func TestGone(t *testing.T) {
	d, _, s := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	s.Kill()
	from := time.Now()
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := k.PRF(context.Background(), nil, []byte("question"))
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, driver.Unavailable) {
			t.Errorf("PRF while the TPM is off: %v, want Unavailable", err)
		}
	}
	if took := time.Since(from); took > time.Second {
		t.Errorf("eight calls on a TPM that is off took %v to fail", took)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(prf(t, k), want) {
		t.Error("PRF after the TPM came back returned another result than before")
	}
}
