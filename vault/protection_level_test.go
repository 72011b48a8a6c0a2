package vault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/fakedriver"
)

// newLeveled returns a device of a given protection level, which may be slow.
func newLeveled(d fakedriver.Device, level driver.ProtectionLevel, slow bool) *fakedriver.Driver {
	return &fakedriver.Driver{Device: d, OnInfo: func(info *driver.Info) {
		info.Level = level
		for i := range info.Specs {
			info.Specs[i].Slow = slow
		}
	}}
}

// TestMinLevel makes material in each way, for each minimum level of CMK and vault, on each
// level of device. Below the stricter minimum it fails with ErrUnsupported, whose text
// names level and driver, and leaves nothing behind.
func TestMinLevel(t *testing.T) {
	t.Parallel()
	ways := map[string]func(c Client, o KeyOptions) (Key, error){
		"CreateKey": func(c Client, o KeyOptions) (Key, error) { return c.CreateKey(t.Context(), o) },
		"CreateKey of EXTERNAL": func(c Client, o KeyOptions) (Key, error) {
			o.Origin = OriginExternal
			return c.CreateKey(t.Context(), o)
		},
	}
	for _, level := range levels {
		for _, vaults := range append([]driver.ProtectionLevel{""}, levels...) {
			d := newLeveled(drivertest.NewMemory(), level, false)
			cfg := deviceConfig(d)
			cfg.MinLevel = vaults
			v, _ := newTestVault(t, cfg)
			for _, least := range append([]driver.ProtectionLevel{""}, levels...) {
				want := slices.Index(levels, level) >= max(slices.Index(levels, least), slices.Index(levels, vaults))
				for way, create := range ways {
					k, err := create(v.As(DefaultOwner), KeyOptions{MinLevel: least, Driver: "hsm"})
					switch {
					case want && (err != nil || k.Level != level || k.MinLevel != least):
						t.Errorf("%s with MinLevel %q in a vault of %q on a device of %s: %+v, %v, want a key", way, least, vaults, level, k, err)
					case !want && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `"hsm"`) || !strings.Contains(err.Error(), string(level))):
						t.Errorf("%s with MinLevel %q in a vault of %q on a device of %s: %v, want ErrUnsupported that names both", way, least, vaults, level, err)
					}
				}
			}
		}
	}
}

// TestMinLevelLasts: the minimum level of a CMK still holds for rotations, imports and
// moves if the vault is opened with a device of a lower level.
func TestMinLevelLasts(t *testing.T) {
	store := drivertest.NewMemory()
	v, dir := newTestVault(t, deviceConfig(newLeveled(store, driver.LevelHSM, false)))
	c, ctx := v.As(DefaultOwner), t.Context()
	strict := KeyOptions{MinLevel: driver.LevelHSM}
	made := mustKey(t, c, strict)
	strict.Origin = OriginExternal
	external := mustKey(t, c, strict)
	moving := mustKey(t, c, KeyOptions{Driver: softDriver})
	closeChecked(t, v)
	cfg := deviceConfig(newLeveled(store.Reopen(), driver.LevelTPM, false))
	open := func() Client {
		v, err := Open(ctx, dir, cfg, passphrase(t, "correct horse"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeChecked(t, v) })
		return v.As(DefaultOwner)
	}
	c = open()
	if _, err := c.Encrypt(ctx, made.ID, nil, nil); err != nil {
		t.Errorf("Encrypt by a key that is there: %v", err)
	}
	if _, err := c.RotateKey(ctx, made.ID); !errors.Is(err, ErrUnsupported) {
		t.Errorf("RotateKey on a weaker device: %v, want ErrUnsupported", err)
	}
	if _, err := c.ImportKeyMaterial(ctx, external.ID, newImportFixture(t, c, external, ownKey(1)).material()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ImportKeyMaterial on a weaker device: %v, want ErrUnsupported", err)
	}
	if err := c.vault.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.MinLevel = driver.LevelHSM
	c = open()
	if _, err := c.MoveKey(ctx, moving.ID, "hsm"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("MoveKey to a device below Config.MinLevel: %v, want ErrUnsupported", err)
	}
	if _, err := c.Encrypt(ctx, moving.ID, nil, nil); err != nil {
		t.Errorf("Encrypt by a key that was not moved: %v", err)
	}
	if k, err := c.DescribeKey(ctx, made.ID); err != nil || k.MinLevel != driver.LevelHSM {
		t.Errorf("DescribeKey: MinLevel %q, %v, want HSM", k.MinLevel, err)
	}
}

// TestMinLevelNoSoftwareUnasked: if the default device does not support a spec, the
// software engine is used, unless there is a minimum level. A slow device is used if there
// is.
func TestMinLevelNoSoftwareUnasked(t *testing.T) {
	hmac := driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	cfg := deviceConfig(newLeveled(drivertest.NewMemory(hmac), driver.LevelTPM, true))
	cfg.Edition = Standard
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	if k := mustKey(t, c, KeyOptions{Spec: ECCP256}); k.Driver != softDriver {
		t.Errorf("a key that the device cannot do is made on %q, want soft", k.Driver)
	}
	_, err := c.CreateKey(t.Context(), KeyOptions{Spec: ECCP256, MinLevel: driver.LevelTPM})
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "SOFTWARE") || !strings.Contains(err.Error(), `"soft"`) {
		t.Errorf("CreateKey of a spec that the device cannot do, with a least level: %v, want ErrUnsupported naming driver and level", err)
	}
	if k := mustKey(t, c, KeyOptions{}); k.Driver != softDriver {
		t.Errorf("a key that the device is slow at is made on %q, want soft", k.Driver)
	}
	if k := mustKey(t, c, KeyOptions{MinLevel: driver.LevelTPM}); k.Driver != "hsm" || k.Level != driver.LevelTPM {
		t.Errorf("a key with a least level is made on %q at %s, want hsm at TPM", k.Driver, k.Level)
	}
	for _, bad := range []driver.ProtectionLevel{"hsm", "HARDWARE"} {
		if _, err := c.CreateKey(t.Context(), KeyOptions{MinLevel: bad}); !errors.Is(err, ErrInvalid) {
			t.Errorf("CreateKey with MinLevel %q: %v, want ErrInvalid", bad, err)
		}
		if _, err := Create(context.Background(), t.TempDir(), Config{MinLevel: bad}, passphrase(t, "word")); !errors.Is(err, ErrInvalid) {
			t.Errorf("Create with MinLevel %q: %v, want ErrInvalid", bad, err)
		}
	}
}

// TestCapabilities: every listed capability works on its driver, every other fails, and the
// default is the driver that CreateKey chooses.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, deviceConfig(newLeveled(drivertest.NewMemory(spec(driver.HMACSHA256, driver.Derive), spec(driver.HMACSM3, driver.Derive), spec(driver.ECP256, driver.Sign)), driver.LevelHSM, false)))
	c := v.As(DefaultOwner)
	all := v.Capabilities()
	if len(all) != 2 || all[0].Name != softDriver || all[1].Name != "hsm" || all[1].Kind != "memory" || all[1].Level != driver.LevelHSM {
		t.Fatalf("Capabilities: %+v", all)
	}
	defaults := map[KeyUsage]map[KeySpec]int{}
	for _, d := range all {
		listed := map[KeySpec]map[KeyUsage]bool{}
		for _, can := range d.Keys {
			if listed[can.Spec] == nil {
				listed[can.Spec] = map[KeyUsage]bool{}
			}
			listed[can.Spec][can.Usage] = true
			if can.Default {
				if defaults[can.Usage] == nil {
					defaults[can.Usage] = map[KeySpec]int{}
				}
				defaults[can.Usage][can.Spec]++
			}
			if (can.Usage == SignVerify) != (len(can.Sign) > 0) || (can.Usage == AsymmetricDecrypt) != (len(can.Decrypt) > 0) {
				t.Errorf("Capabilities, %s, %s %s: sign algorithms %v, decryption algorithms %v", d.Name, can.Spec, can.Usage, can.Sign, can.Decrypt)
			}
			if strings.HasPrefix(string(can.Spec), "RSA_") && testing.Short() {
				continue
			}
			k, err := c.CreateKey(t.Context(), KeyOptions{Spec: can.Spec, Usage: can.Usage, Driver: d.Name})
			if err != nil || k.Level != can.Level || k.Residence != can.Residence {
				t.Errorf("%s lists %s %s at %s, %s; CreateKey: %s, %s, %v", d.Name, can.Spec, can.Usage, can.Level, can.Residence, k.Level, k.Residence, err)
			}
			if _, err := c.CreateKey(t.Context(), KeyOptions{Spec: can.Spec, Usage: can.Usage, Driver: d.Name, Origin: OriginExternal}); (err == nil) != (len(can.Wrappings) > 0) {
				t.Errorf("%s imports %s %s by %v; CreateKey of EXTERNAL: %v", d.Name, can.Spec, can.Usage, can.Wrappings, err)
			}
		}
		for _, row := range specTable {
			if listed[row.spec][row.usage] {
				continue
			}
			if _, err := c.CreateKey(t.Context(), KeyOptions{Spec: row.spec, Usage: row.usage, Driver: d.Name}); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s does not list %s %s; CreateKey: %v, want ErrUnsupported", d.Name, row.spec, row.usage, err)
			}
		}
	}
	for usage, specs := range defaults {
		for s, n := range specs {
			if n != 1 {
				t.Errorf("%d drivers are the default for %s %s, want 1", n, s, usage)
			}
		}
	}
}

func spec(alg driver.KeyAlgorithm, usage driver.Usage) driver.KeySpec {
	return driver.KeySpec{Algorithm: alg, Usage: usage}
}
