package tpm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// TestDeviceAfterKill opens a device without a resource manager after programs that were
// killed. Without a cleanup the objects that they left would fill the TPM until the
// machine is turned off.
func TestDeviceAfterKill(t *testing.T) {
	path := testtoken.Node(t, "tpm0", newTPM(t).Dial)
	for range 6 {
		d := openConfig(t, tpm.Config{Device: path})
		n := generate(t, d, hmacSpec)
		prf(t, openAs[driver.PRF](t, d, n))
		d.Drop()
	}
}

// TestDeviceReopened loses the connection to such a device repeatedly.
func TestDeviceReopened(t *testing.T) {
	d := openConfig(t, tpm.Config{Device: testtoken.Node(t, "tpm0", newTPM(t).Dial)})
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	for range 6 {
		d.Drop()
		if string(prf(t, k)) != string(want) {
			t.Error("PRF returned another result than before")
		}
	}
	if n := loadedHandles(t, d); n > 3 {
		t.Errorf("%d handles in the TPM, want a key and a session", n)
	}
}

// TestDeviceFull fills the TPM while the driver is open. A driver that holds the device
// alone may make room.
func TestDeviceFull(t *testing.T) {
	w := testtoken.NewWire(newTPM(t).Dial)
	d := openConfig(t, tpm.Config{Device: testtoken.Node(t, "tpm0", w.Dial)})
	fill(t, d)
	if _, err := d.GenerateKey(context.Background(), driver.MaterialID{1}, p256Spec); err != nil {
		t.Error(err)
	}
}

// TestSharedDevice checks that the driver does not flush other programs' objects
// in a shared TPM.
func TestSharedDevice(t *testing.T) {
	s := newTPM(t)
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	other, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHNull, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(tpm2.ECCSRKTemplate),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	d := openConfig(t, tpm.Config{Device: testtoken.Node(t, "tpmrm0", s.Dial)})
	prf(t, openAs[driver.PRF](t, d, generate(t, d, hmacSpec)))
	err = d.Do(func(c transport.TPM) error {
		_, err := tpm2.ReadPublic{ObjectHandle: other.ObjectHandle}.Execute(c)
		return err
	})
	if err != nil {
		t.Errorf("use of another program's key: %v", err)
	}
}

// TestSlowDevice opens a TPM that is slow. Behind the kernel other programs' commands can
// delay it, and Open must wait; behind a socket Open must treat the TPM as hung.
func TestSlowDevice(t *testing.T) {
	limits := tpm.TestLimits{Greeting: 50 * time.Millisecond, Patience: time.Second, SelfTest: time.Second}
	s := newTPM(t)
	w := testtoken.NewWire(s.Dial)
	slowly(w, 0x181, 150*time.Millisecond)
	if d, err := tpm.OpenWithin(t.Context(), tpm.Config{Dial: dialer(w.Dial)}, limits); !errors.Is(err, driver.Unavailable) {
		t.Errorf("Open of a slow TPM behind a socket: %v, want Unavailable", err)
		d.Close()
	}
	d, err := tpm.OpenWithin(t.Context(), tpm.Config{Device: testtoken.Node(t, "tpmrm0", w.Dial)}, limits)
	if err != nil {
		t.Fatalf("Open of a busy chip behind the kernel: %v", err)
	}
	d.Close()
}
