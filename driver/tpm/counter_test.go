package tpm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// TestCounterIndexTaken puts another object at the counter's NV index.
func TestCounterIndexTaken(t *testing.T) {
	s := newTPM(t)
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex:    0x01500001,
			NameAlg:    tpm2.TPMAlgSHA256,
			Attributes: tpm2.TPMANV{AuthRead: true, AuthWrite: true, NoDA: true},
			DataSize:   64,
		}),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err = tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500001})
	oneLine(t, err, driver.Denied, "0x1500001", "Config.Counter", "0x1500002")
	openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500002})
}

// TestCounterRecreated deletes the counter while the driver is open.
func TestCounterRecreated(t *testing.T) {
	s := newTPM(t)
	open := func() *tpm.Driver {
		return openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500001})
	}
	d := open()
	name, err := d.Identity(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	last := read(t, d)
	err = d.Do(func(c transport.TPM) error {
		index, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(0x01500001)}.Execute(c)
		if err != nil {
			return err
		}
		_, err = tpm2.NVUndefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(0x01500001), Name: index.NVName},
		}.Execute(c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Increment(context.Background()); !errors.Is(err, driver.NotFound) {
		t.Errorf("Increment of a deleted counter: %v", err)
	}
	d.Close()
	d = open()
	again, err := d.Identity(context.Background())
	if err != nil || again == name {
		t.Errorf("a counter that was created again has the identity of the old one (%v)", err)
	}
	if now := read(t, d); now <= last {
		t.Errorf("a counter that was created again is at %d, the old one was at %d", now, last)
	}
}

// TestSnapshotRollsBack restores an old state of a software TPM. Its counter falls back;
// for that reason a software TPM cannot anchor a vault, and Health reports resets.
func TestSnapshotRollsBack(t *testing.T) {
	s := newTPM(t)
	open := func(s *testtoken.SWTPM) *tpm.Driver {
		return openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500001})
	}
	d := open(s)
	name, _ := d.Identity(context.Background())
	first := read(t, d)
	d.Close()
	snapshot := s.Clone(t)
	d = open(s)
	if _, err := d.Increment(context.Background()); err != nil {
		t.Fatal(err)
	}
	old := open(snapshot)
	if same, _ := old.Identity(context.Background()); same != name || read(t, old) != first {
		t.Errorf("the snapshot's counter is %q at %d, want %q at %d", same, read(t, old), name, first)
	}
}

func read(t *testing.T, d *tpm.Driver) uint64 {
	t.Helper()
	n, err := d.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return n
}
