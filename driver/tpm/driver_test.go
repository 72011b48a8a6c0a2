package tpm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

// TestInfo checks Info. A software TPM must not be reported as a chip.
func TestInfo(t *testing.T) {
	s := newTPM(t)
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
		{Algorithm: driver.HMACSHA384, Usage: driver.Derive}, {Algorithm: driver.HMACSHA512, Usage: driver.Derive},
	}
	for _, spec := range want {
		row, ok := info.Find(spec)
		if !ok || !row.Resident || !row.Import || row.Slow != spec.Algorithm.Symmetric() {
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
