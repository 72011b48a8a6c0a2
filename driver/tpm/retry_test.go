package tpm_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/internal/testing/testtoken"
)

// TestRetriedCodes makes the TPM respond with codes after which a call must still
// succeed.
func TestRetriedCodes(t *testing.T) {
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

// TestReportedCodes makes the TPM respond with codes that end a call. Each must have its
// class, and the driver must send one command: it must not retry, because some of these
// codes count as an attack.
func TestReportedCodes(t *testing.T) {
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

// TestBadPadding responds to a decryption as libtpms does for a wrong
// padding, with a TPM that is healthy and one that is not.
func TestBadPadding(t *testing.T) {
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

// TestVoidContext corrupts the saved context of a key. The key must load from
// its blob.
func TestVoidContext(t *testing.T) {
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

// TestTPMFull fills all slots of the TPM while the driver is open.
func TestTPMFull(t *testing.T) {
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

// TestTPMOff turns the TPM off. All waiting calls must fail within the limit.
func TestTPMOff(t *testing.T) {
	d, _, s := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	s.Kill()
	lag, from := poll.Lag(), time.Now()
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
	took := time.Since(from)
	if late := lag(); took > limit(late) {
		t.Errorf("eight calls on a TPM that is off took %v to fail, and timers on the machine were %v late", took, late)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(prf(t, k), want) {
		t.Error("PRF after the TPM came back returned another result than before")
	}
}

// TestRetryEnds makes a TPM request a retry without end. The context ends the retries.
func TestRetryEnds(t *testing.T) {
	w := testtoken.NewWire(newTPM(t).Dial)
	d := openWithin(t, w, tpm.TestLimits{Greeting: time.Minute, Patience: time.Hour})
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	w.Answer(hmacCommand, 0, slices.Repeat([]uint32{0x922}, 1000)...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := k.PRF(ctx, nil, []byte("question")); !errors.Is(err, driver.Throttled) {
		t.Errorf("PRF on a TPM that requests retries: %v, want Throttled", err)
	}
}

func openWithin(t *testing.T, w *testtoken.Wire, l tpm.TestLimits) *tpm.Driver {
	t.Helper()
	d, err := tpm.OpenWithin(t.Context(), tpm.Config{Dial: dialer(w.Dial)}, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestUnfinishedFlush makes the TPM request a retry of a flush while the call's
// context is done. The object must not stay in the TPM.
func TestUnfinishedFlush(t *testing.T) {
	d, w, _ := openWired(t)
	p := protector(t, d, tpm.Policy{})
	root, blob := seal(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.Delay(func(command uint32) time.Duration {
		if command == 0x15E { // TPM2_Unseal is on its way
			cancel()
		}
		return 0
	})
	w.Answer(0x165, 0, 0x922)
	opened, err := p.Recover(ctx, nil, binding, blob)
	if err != nil || !bytes.Equal(opened, root) {
		t.Error(err)
	}
	if n := loadedHandles(t, d); n != 1 {
		t.Errorf("%d handles in the TPM, want a session", n)
	}
}

// TestSelfTestEnds makes a TPM report without end that it runs its self-test. The limits
// end the retries: with them the call takes 150 ms.
func TestSelfTestEnds(t *testing.T) {
	w := testtoken.NewWire(newTPM(t).Dial)
	d := openWithin(t, w, tpm.TestLimits{Greeting: time.Minute, Patience: 50 * time.Millisecond, SelfTest: 100 * time.Millisecond})
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	w.Answer(hmacCommand, 0, slices.Repeat([]uint32{0x90A}, 1000)...) // enough for minutes
	from := time.Now()
	if _, err := k.PRF(t.Context(), nil, []byte("question")); !errors.Is(err, driver.Throttled) {
		t.Errorf("PRF on a TPM whose self-test does not end: %v, want Throttled", err)
	}
	if took := time.Since(from); took < 100*time.Millisecond {
		t.Errorf("PRF took %v, want 150 ms", took)
	}
}
