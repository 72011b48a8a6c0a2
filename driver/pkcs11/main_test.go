//go:build cgo && unix

package pkcs11_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

func TestMain(m *testing.M) { os.Exit(testtoken.Main(m)) }

// config returns the configuration for a test token.
func config(token testtoken.PKCS11) pkcs11.Config {
	return pkcs11.Config{
		Module: token.Module,
		Args:   token.Args,
		Label:  token.Label,
		PIN:    pkcs11.PIN{File: token.PINFile},
	}
}

// basicConfig is config for a test that uses HMAC and P-256 only: the self-test leaves out
// the abilities that take most of its time.
func basicConfig(token testtoken.PKCS11) pkcs11.Config {
	c := config(token)
	c.Without = []pkcs11.Ability{pkcs11.Ability(driver.RSA2048), pkcs11.Ability(driver.ECP384), pkcs11.Ability(driver.ECP521), pkcs11.Ability(driver.Ed25519)}
	return c
}

// openedBasic is opened with basicConfig.
func openedBasic(t testing.TB, token testtoken.PKCS11) driver.Driver {
	t.Helper()
	return openedWith(t, basicConfig(token))
}

// open opens a driver. The caller closes it.
func open(t testing.TB, token testtoken.PKCS11) driver.Driver {
	t.Helper()
	d, err := pkcs11.Open(context.Background(), config(token))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// opened opens a driver that is closed when the test ends.
func opened(t testing.TB, token testtoken.PKCS11) driver.Driver {
	t.Helper()
	return openedWith(t, config(token))
}

// tokens runs a test on SoftHSM, NSS and SoftHSM behind p11-kit's remoting, or on the
// token that the environment names.
func tokens(t *testing.T, run func(t *testing.T, token testtoken.PKCS11)) {
	t.Helper()
	if token, ok := testtoken.FromEnvironment(t); ok {
		t.Run("environment", func(t *testing.T) {
			removeObjects(t, token)
			run(t, token)
		})
		return
	}
	for name, token := range map[string]func(testing.TB) testtoken.PKCS11{"SoftHSM": testtoken.NewSoftHSM, "NSS": testtoken.NewNSS, "p11-kit": testtoken.NewP11Kit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they are three modules
			run(t, token(t))
		})
	}
}

// is reports whether err is of a class.
func is(err error, class driver.Class) bool { return errors.Is(err, class) }

// ask returns a PIN source that returns pin.
func ask(pin string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(pin), nil }
}

func failing(context.Context) ([]byte, error) { return nil, errors.New("I have none") }

// openedWith is opened with the given configuration.
func openedWith(t testing.TB, c pkcs11.Config) driver.Driver {
	t.Helper()
	d, err := pkcs11.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

// needs skips the test if the token does not offer all of the specs. SoftHSM and NSS do;
// TestProbe checks that.
func needs(t testing.TB, d driver.Driver, specs ...driver.KeySpec) {
	t.Helper()
	for _, spec := range specs {
		if _, ok := d.Info().Find(spec); !ok {
			t.Skipf("%s %s does not offer %v", d.Info().Device.Manufacturer, d.Info().Device.Model, spec)
		}
	}
}
