package tpm_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
)

// TestRetryEnds makes a TPM request a retry without end.
func TestRetryEnds(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	codes := make([]uint32, 1000)
	for i := range codes {
		codes[i] = 0x922
	}
	w.Answer(0x155, 0, codes...)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	from := time.Now()
	_, err := k.PRF(ctx, nil, []byte("question"))
	if !errors.Is(err, driver.Throttled) || time.Since(from) > time.Second {
		t.Errorf("PRF returned after %v: %v, want Throttled", time.Since(from), err)
	}
}

// TestFlushThatIsNotDone makes the TPM request a retry of a flush while the call's
// context is done. The object must not stay in the TPM.
func TestFlushThatIsNotDone(t *testing.T) {
	d, w, _ := openWired(t)
	p := protector(t, d, tpm.Policy{})
	root, blob := seal(t, p)
	slowly(w, 0x15E, 30*time.Millisecond)
	w.Answer(0x165, 0, 0x922)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	opened, err := p.Recover(ctx, nil, binding, blob)
	if err != nil || !bytes.Equal(opened, root) {
		t.Error(err)
	}
	if n := strays(t, d); n != 1 {
		t.Errorf("%d handles in the TPM, want a session", n)
	}
}

// TestSelfTestEnds makes a TPM report without end that it runs its self-test.
func TestSelfTestEnds(t *testing.T) {
	w := testtoken.NewWire(chip(t).Dial)
	d, err := tpm.OpenWithin(tpm.Config{Dial: dialer(w.Dial)}, tpm.Limits{
		Greeting: time.Second, Patience: 50 * time.Millisecond, SelfTest: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	codes := make([]uint32, 1000)
	for i := range codes {
		codes[i] = 0x90A
	}
	w.Answer(0x155, 0, codes...)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	from := time.Now()
	if _, err := k.PRF(ctx, nil, []byte("question")); !errors.Is(err, driver.Throttled) {
		t.Errorf("PRF on a TPM whose self-test does not end: %v, want Throttled", err)
	}
	if took := time.Since(from); took > time.Second || took < 100*time.Millisecond {
		t.Errorf("PRF took %v, want 150 ms", took)
	}
}
