package tpm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
	"strongroom.example/vault"
)

// TestInfo checks Info. A software TPM must not be reported as a chip.
func TestInfo(t *testing.T) {
	s := chip(t)
	d := openAt(t, s, "")
	info := d.Info()
	if info.Name != "tpm" || info.Level != driver.LevelSoftware || info.Device.Manufacturer != "IBM" || info.Device.Firmware == "" || info.Counter {
		t.Errorf("%+v", info)
	}
	if len(info.Device.Serial) != 2*(2+32) || !strings.HasPrefix(info.Device.Serial, "000b") {
		t.Errorf("the serial %q is not the name of a key", info.Device.Serial)
	}
	want := []driver.KeySpec{
		hmacSpec, rsaSign, rsaDecrypt, p256Spec,
		{Algorithm: driver.ECP384, Usage: driver.Sign}, {Algorithm: driver.ECP521, Usage: driver.Sign},
		{Algorithm: driver.SM2, Usage: driver.Sign}, {Algorithm: driver.SM2, Usage: driver.Decrypt},
	}
	for _, spec := range want {
		row, ok := info.Find(spec)
		if !ok || !row.Resident || !row.Import || row.Slow != (spec == hmacSpec) {
			t.Errorf("%v: %+v", spec, row)
		}
	}
	if len(info.Specs) != len(want) {
		t.Errorf("%d specs, want %d", len(info.Specs), len(want))
	}
	d.Close()
	trusted := openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), TrustSoftware: true})
	if trusted.Info().Level != driver.LevelTPM {
		t.Errorf("Info of a trusted software TPM has level %v", trusted.Info().Level)
	}
}

// TestAttributes checks that the attributes distinguish keys generated in the TPM from
// imported ones.
func TestAttributes(t *testing.T) {
	d := openFresh(t)
	for want, n := range map[string]named{"true": generate(t, d, hmacSpec), "false": importKey(t, d, hmacSpec, make([]byte, 32))} {
		for _, name := range []string{"fixedTPM", "fixedParent", "sensitiveDataOrigin"} {
			if n.Attributes[name] != want {
				t.Errorf("%s is %q, want %q", name, n.Attributes[name], want)
			}
		}
	}
}

// TestSessionIsRenewed uses a key after its session has reached the maximum age.
func TestSessionIsRenewed(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	w.Record(true)
	d.AgeSession()
	if string(prf(t, k)) != string(want) {
		t.Error("PRF returned another result than before")
	}
	var codes []uint32
	for _, e := range w.Log() {
		codes = append(codes, e.Code())
	}
	if fmt.Sprint(codes) != fmt.Sprint([]uint32{0x165, 0x176, hmacCommand}) {
		t.Errorf("commands %x, want the old session flushed, a new one started and the key used", codes)
	}
}

// TestCounterIsMadeAnew deletes the counter while the driver is open.
func TestCounterIsMadeAnew(t *testing.T) {
	s := chip(t)
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
	s := chip(t)
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

// TestConfigIsRedacted prints a Config in every way.
func TestConfigIsRedacted(t *testing.T) {
	cfg := tpm.Config{OwnerAuth: []byte("hunter2!")}
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(cfg), fmt.Sprintf("%#v %+v %s %x", cfg, &cfg, cfg, cfg), cfg.LogValue().String(), string(text)} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74") {
			t.Errorf("a Config prints its authorization: %s", s)
		}
	}
}

// TestWrappedKeysNeedNoTPM encrypts under a wrapped key, which the vault chooses because
// the TPM's table reports Slow. Encrypt must send no command.
func TestWrappedKeysNeedNoTPM(t *testing.T) {
	d, w, _ := openWired(t)
	v, err := vault.Create(context.Background(), filepath.Join(t.TempDir(), "vault"), vault.Config{
		Drivers: map[string]driver.Driver{"tpm": d}, Driver: "tpm", AcceptLossWithMachine: true,
	}, protector(t, d, tpm.Policy{}))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(context.Background(), vault.KeyOptions{Alias: "wrapped"})
	if err != nil {
		t.Fatal(err)
	}
	w.Delay(testtoken.DiscreteChip)
	before := w.Count()
	for range 50 {
		ct, err := c.Encrypt(context.Background(), "wrapped", []byte("plaintext"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Decrypt(context.Background(), ct, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.Count() - before; n != 0 {
		t.Errorf("Encrypt under a wrapped key sent %d commands (%v), want 0", n, key.ID)
	}
}
