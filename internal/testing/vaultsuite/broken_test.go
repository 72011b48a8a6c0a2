package vaultsuite

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// brokenName selects, in a child process, the broken driver over which the suite runs.
const brokenName = "STRONGROOM_BROKEN_DRIVER"

// broken is a driver with one fault. Fields that are nil or false change nothing.
type broken struct {
	*drivertest.Memory
	key     func(driver.Key) driver.Key
	created func(context.Context, *drivertest.Memory, driver.KeySpec, *driver.Created)
	hoards  bool // Destroy destroys nothing
	swaps   bool // imports material other than the given one
	alike   bool // all devices have the same serial number
}

func (b broken) Info() driver.Info {
	info := b.Memory.Info()
	if b.alike {
		info.Device.Serial = "1"
	}
	return info
}

func (b broken) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	key, err := b.Memory.OpenKey(ctx, id, spec, blob)
	if err == nil && b.key != nil {
		key = b.key(key)
	}
	return key, err
}

func (b broken) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	made, err := b.Memory.GenerateKey(ctx, id, spec)
	if err == nil && b.created != nil {
		b.created(ctx, b.Memory, spec, &made)
	}
	return made, err
}

func (b broken) DestroyKey(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
	if b.hoards {
		return nil
	}
	return b.Memory.DestroyKey(ctx, id, blob)
}

func (b broken) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, material []byte) (driver.Created, error) {
	if b.swaps && spec.Usage == driver.Derive {
		material = bytes.Repeat([]byte{1}, len(material))
	}
	return b.Memory.ImportKey(ctx, id, spec, material)
}

type bentPRF struct {
	driver.Key
	inner driver.PRF
	bend  func([]byte)
}

func (k bentPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	out, err := k.inner.PRF(ctx, dst, input)
	k.bend(out[len(dst):])
	return out, err
}

// bendPRF returns a function that changes the output of PRFs.
func bendPRF(bend func([]byte)) func(driver.Key) driver.Key {
	return func(key driver.Key) driver.Key {
		if prf, ok := key.(driver.PRF); ok {
			return bentPRF{prf, prf, bend}
		}
		return key
	}
}

type bentSigner struct{ driver.Signer }

func (k bentSigner) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	input = bytes.Clone(input)
	input[0] ^= 1
	return k.Signer.Sign(ctx, alg, input)
}

type bentDecrypter struct {
	driver.Decrypter
	bend func(alg driver.EncryptAlg, out []byte, err error) ([]byte, error)
}

func (k bentDecrypter) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	out, err := k.Decrypter.Decrypt(ctx, dst, alg, ciphertext)
	return k.bend(alg, out, err)
}

// bendDecrypter returns a function that changes the results of private keys.
func bendDecrypter(bend func(driver.EncryptAlg, []byte, error) ([]byte, error)) func(driver.Key) driver.Key {
	return func(key driver.Key) driver.Key {
		if d, ok := key.(driver.Decrypter); ok {
			return bentDecrypter{d, bend}
		}
		return key
	}
}

// brokenDrivers makes one driver for each fault, under the names of the checks that must
// detect it. TestSuite of package vault runs the same checks over a correct Memory.
func brokenDrivers() map[string]func(*drivertest.Memory) broken {
	return map[string]func(*drivertest.Memory) broken{
		"Rotation Reopen": func(m *drivertest.Memory) broken { // its keys change at a restart
			var salt = byte(instances.Add(1))
			return broken{Memory: m, key: bendPRF(func(out []byte) { out[0] ^= salt })}
		},
		"Macs": func(m *drivertest.Memory) broken { // all of its keys are the same
			return broken{Memory: m, key: bendPRF(func(out []byte) { clear(out) })}
		},
		"Concurrent Ciphertexts": func(m *drivertest.Memory) broken { // gives a wrong result at times
			var calls atomic.Int64
			return broken{Memory: m, key: bendPRF(func(out []byte) {
				if calls.Add(1)%5 == 0 {
					out[0] ^= 1
				}
			})}
		},
		"Signatures OpenSSLVerifies Certificates": func(m *drivertest.Memory) broken { // signs something else
			return broken{Memory: m, key: func(key driver.Key) driver.Key {
				if s, ok := key.(driver.Signer); ok {
					return bentSigner{s}
				}
				return key
			}}
		},
		"Decryption": func(m *drivertest.Memory) broken { // accepts every ciphertext
			return broken{Memory: m, key: bendDecrypter(func(_ driver.EncryptAlg, out []byte, err error) ([]byte, error) { return out, nil })}
		},
		"Padding": func(m *drivertest.Memory) broken { // reports bad padding
			return broken{Memory: m, key: bendDecrypter(func(alg driver.EncryptAlg, out []byte, err error) ([]byte, error) {
				if alg == driver.RSARaw && err == nil && (out[0] != 0 || out[1] != 2) {
					return nil, &driver.Error{Op: "Decrypt", Class: driver.Authentic}
				}
				return out, err
			})}
		},
		"OpenSSLEncrypts Decrypter": func(m *drivertest.Memory) broken { // returns the public key of another key
			return broken{Memory: m, created: func(ctx context.Context, m *drivertest.Memory, spec driver.KeySpec, made *driver.Created) {
				if spec.Usage == driver.Decrypt {
					other, _ := m.GenerateKey(ctx, driver.MaterialID{byte(instances.Add(1))}, spec)
					made.PublicDER = other.PublicDER
				}
			}}
		},
		"DeviceFailsToMakeKeys DestructionFails DestructionDies DestructionWaits": func(m *drivertest.Memory) broken { return broken{Memory: m, hoards: true} },
		"DestructionElsewhere": func(m *drivertest.Memory) broken { return broken{Memory: m, alike: true} },
		"Moves":                func(m *drivertest.Memory) broken { return broken{Memory: m, swaps: true} },
	}
}

// instances numbers the drivers of a process.
var instances atomic.Int64

// harness returns a Harness over a Memory with a fault.
func (make brokenMaker) harness() Harness {
	config := func(b broken) vault.Config {
		return vault.Config{Drivers: map[string]driver.Driver{"broken": b}, Driver: "broken"}
	}
	fresh := func(*testing.T) vault.Config { return config(make(drivertest.NewMemory())) }
	return Harness{
		Config: fresh,
		Other:  fresh,
		Reopen: func(_ *testing.T, cfg vault.Config) vault.Config {
			return config(make(cfg.Drivers["broken"].(broken).Memory.Reopen()))
		},
		LeaveOut: func(spec vault.KeySpec) bool { return spec == vault.RSA3072 || spec == vault.RSA4096 },
	}
}

type brokenMaker func(*drivertest.Memory) broken

// TestBrokenDriver is the part of TestSuiteFindsFaults that runs in child processes.
func TestBrokenDriver(t *testing.T) {
	name, child := os.LookupEnv(brokenName)
	if !child {
		t.Skip("for the child processes of TestSuiteFindsFaults")
	}
	Run(t, brokenMaker(brokenDrivers()[name]).harness())
}

// TestSuiteFindsFaults runs the suite over each broken driver and checks that it fails.
func TestSuiteFindsFaults(t *testing.T) {
	for names := range brokenDrivers() {
		t.Run(names, func(t *testing.T) {
			pattern := "^TestBrokenDriver$/^(" + strings.ReplaceAll(names, " ", "|") + ")$"
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.short")
			cmd.Env = append(os.Environ(), brokenName+"="+names)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Error("the suite passes over a broken driver")
			}
			for _, name := range strings.Fields(names) {
				if !bytes.Contains(out, []byte("--- FAIL: TestBrokenDriver/"+name+" ")) {
					t.Errorf("check %s does not fail over the broken driver:\n%s", name, out)
				}
			}
		})
	}
}

// TestOpenKeysAreCounted: a key that is not closed is detected.
func TestOpenKeysAreCounted(t *testing.T) {
	d, ctx := newDevice(drivertest.NewMemory()), t.Context()
	spec, id := driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}, driver.MaterialID{1}
	made, err := d.GenerateKey(ctx, id, spec)
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.OpenKey(ctx, id, spec, made.Blob)
	if err != nil || d.open.Load() != 1 {
		t.Fatalf("%d open keys after OpenKey, %v, want 1", d.open.Load(), err)
	}
	for range 2 {
		if err := key.Close(); err != nil || d.open.Load() != 0 {
			t.Errorf("%d open keys after Close, %v, want 0", d.open.Load(), err)
		}
	}
}
