package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"strongroom.example/driver"
)

// TestZeroClient: every method of a client without vault or principal returns ErrDenied.
func TestZeroClient(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	var none *Vault
	for name, c := range map[string]Client{"zero": {}, "of no vault": none.As("x"), "of nobody": v.As("")} {
		of := reflect.ValueOf(c)
		for i := range of.NumMethod() {
			method := of.Type().Method(i).Name
			for _, err := range callErrors(t, of.Method(i)) {
				if !errors.Is(err, ErrDenied) {
					t.Errorf("client %s: %s: %v, want ErrDenied", name, method, err)
				}
			}
		}
	}
}

// callErrors calls a method with zero arguments and returns its errors.
func callErrors(t *testing.T, method reflect.Value) (errs []error) {
	t.Helper()
	in := []reflect.Value{reflect.ValueOf(t.Context())}
	for i := 1; i < method.Type().NumIn(); i++ {
		in = append(in, reflect.Zero(method.Type().In(i)))
	}
	call := method.Call
	if method.Type().IsVariadic() {
		call = method.CallSlice
	}
	for _, out := range call(in) {
		if out.Kind() == reflect.Func { // an iterator
			for _, err := range out.Seq2() {
				errs = append(errs, asError(err))
			}
		}
		if out.Type() == reflect.TypeFor[error]() {
			errs = append(errs, asError(out))
		}
	}
	return errs
}

func asError(v reflect.Value) error {
	err, _ := v.Interface().(error)
	return err
}

// TestZeroValues: methods of zero values return errors and do not panic.
func TestZeroValues(t *testing.T) {
	var dk DataKey
	var none *DataKey
	none.Destroy()
	dk.Destroy()
	_, aead := dk.AEAD()
	var s Signer
	var d Decrypter
	for name, row := range map[string]struct{ got, want error }{
		"DataKey.Use":        {dk.Use(func([]byte) error { return nil }), ErrClosed},
		"DataKey.AEAD":       {aead, ErrClosed},
		"Signer.Sign":        {second(s.Sign(nil, nil, nil)), ErrDenied},
		"Signer.SignMessage": {second(s.SignMessage(nil, nil, nil)), ErrDenied},
		"Decrypter.Decrypt":  {second(d.Decrypt(nil, nil, nil)), ErrDenied},
		"PublicKey.Parse":    {second(PublicKey{}.Parse()), ErrInvalid},
		"Inspect":            {second(Inspect(nil)), ErrCiphertext},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s: %v, want %v", name, row.got, row.want)
		}
	}
	for _, x := range []any{&dk, dk.Suite(), s, &d, Client{}, PublicKey{}, &Error{}} {
		_ = fmt.Sprintf("%v %+v %#v", x, x, x)
	}
}

// TestNilParts: a nil protector or driver is rejected with ErrInvalid.
func TestNilParts(t *testing.T) {
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "v")
	withNil := testConfig()
	withNil.Drivers = map[string]driver.Driver{"hsm": nil}
	good := passphrase(t, "p")
	create := func(cfg Config, p ...driver.Protector) error {
		v, err := Create(ctx, dir, cfg, p...)
		if v != nil {
			t.Error("a vault, and an error")
		}
		return err
	}
	v, there := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	for name, err := range map[string]error{
		"Create":           create(testConfig(), good, nil),
		"Create, a driver": create(withNil, good),
		"Open":             second(Open(ctx, there, testConfig(), nil)),
		"AddProtector":     second(c.AddProtector(ctx, passphrase(t, "correct horse"), nil)),
		"by none":          second(c.AddProtector(ctx, nil, good)),
		"RotateRoot":       c.RotateRoot(ctx, nil, good),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// TestFailedCreate: Create returns no vault with an error.
func TestFailedCreate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := Create(ctx, filepath.Join(t.TempDir(), "v"), testConfig(), passphrase(t, "p")); err == nil || v != nil {
		t.Errorf("Create with an ended context: %v, %v", v, err)
	}
}
