package bench

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

func softHSM(f forever) testDevice { return tokenDevice("softhsm", testtoken.NewSoftHSM(f)) }

func nss(f forever) testDevice { return tokenDevice("nss", testtoken.NewNSS(f)) }

// tokenDevice returns the device of a token of a test.
func tokenDevice(name string, token testtoken.PKCS11) testDevice {
	return testDevice{module: token.Module, Device: Device{Name: name, Raw: rawToken(token), Sessions: sessionsOf(token), Open: func(ctx context.Context) (driver.Driver, error) {
		return pkcs11.Open(ctx, pkcs11.Config{Module: token.Module, Args: token.Args, Label: token.Label, PIN: pkcs11.PIN{File: token.PINFile}})
	}}}
}

// tokenOf returns the token of a URI. Its PINFile is empty if the PIN is not in a file.
func tokenOf(uri string) (testtoken.PKCS11, error) {
	c, err := pkcs11.ParseURI(uri)
	return testtoken.PKCS11{Module: c.Module, Args: c.Args, Label: c.Label, PINFile: c.PIN.File}, err
}

// moduleName returns the name of a module's file without "lib" and what follows the first
// dot: softhsm2 for libsofthsm2.so.
func moduleName(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), "lib"), ".")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// rawToken returns the bare loop of C calls on a token, in a process of its own. It logs in
// with a PIN from a file, and selects the token by its label; without them there is no
// baseline, and none for an algorithm that the loop does not know.
func rawToken(token testtoken.PKCS11) func(*testing.B, Key, string) Baseline {
	if token.PINFile == "" || token.Label == "" {
		return nil
	}
	return func(b *testing.B, k Key, alg string) Baseline {
		operations := map[driver.KeySpec]string{
			{Algorithm: driver.HMACSHA256, Usage: driver.Derive}: "hmac",
			{Algorithm: driver.ECP256, Usage: driver.Sign}:       "ecdsa",
			{Algorithm: driver.RSA2048, Usage: driver.Sign}:      "rsa",
		}
		operation, ok := operations[k.Row.Spec]
		if !ok || operation == "rsa" && driver.SignAlg(alg) != driver.RSAPKCS1SHA256 {
			return nil
		}
		loop := testtoken.NewRawLoop(b, token, k.ID.String(), operation)
		return func(b *testing.B, callers int, turn time.Duration) Cost {
			return Cost(loop.Run(b, turn, callers))
		}
	}
}
