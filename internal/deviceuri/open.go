// Package deviceuri opens the driver that a URI names. The command line tool and the
// benches take a device in this form:
//
//	soft:
//	pkcs11:token=vault?module-path=/usr/lib/libhsm.so&pin-source=file:/etc/vault/pin
//	tpm:
//	tpm:?device=/dev/tpmrm0
//	tpm:srk=000b1c…?device=unix:/run/swtpm.sock&counter=0x01500001
package deviceuri

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/soft"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/pkcs11uri"
)

// ErrScheme reports a URI whose scheme names no driver.
var ErrScheme = errors.New("deviceuri: the scheme of the URI is none of soft, pkcs11 and tpm")

// Options are what a URI does not say, because it is secret or depends on the program.
type Options struct {
	// PIN, if not nil, returns the PIN of a token whose URI names no pin-source. See
	// [pkcs11.PIN].
	PIN func(context.Context) ([]byte, error)
	// OwnerAuth is the authorization value of a TPM's owner. The driver reads it until
	// Close; the caller wipes it after that.
	OwnerAuth []byte
	// Soft configures the software engine.
	Soft soft.Config
}

// Open opens the driver that the URI names. The dynamic type of the result is
// *soft.Driver, *pkcs11.Driver or *tpm.Driver. The caller closes it.
//
// Errors:
//   - ErrScheme: no driver has the scheme.
//   - pkcs11uri.ErrSyntax: the URI is malformed.
//   - an error without a sentinel: an attribute is unknown, or has a bad value. It quotes
//     names but never values.
//   - the errors of the driver's Open.
func Open(ctx context.Context, uri string, o Options) (driver.Driver, error) {
	u, err := pkcs11uri.Parse(uri)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "soft":
		return openSoft(ctx, u, o)
	case "pkcs11":
		return openToken(ctx, uri, o)
	case "tpm":
		return openTPM(ctx, u, o)
	}
	return nil, ErrScheme
}

func openSoft(ctx context.Context, u pkcs11uri.URI, o Options) (driver.Driver, error) {
	if len(u.Path)+len(u.Query) > 0 {
		return nil, errors.New("deviceuri: soft: has no attributes")
	}
	return opened(soft.Open(ctx, o.Soft))
}

func openToken(ctx context.Context, uri string, o Options) (driver.Driver, error) {
	c, err := pkcs11.ParseURI(uri)
	if err != nil {
		return nil, fmt.Errorf("deviceuri: %w", err)
	}
	if pin := c.PIN; pin.File == "" && pin.FD == 0 && pin.Env == "" && pin.Credential == "" {
		c.PIN.Ask = o.PIN
	}
	return opened(pkcs11.Open(ctx, c))
}

func openTPM(ctx context.Context, u pkcs11uri.URI, o Options) (driver.Driver, error) {
	c, err := tpmConfig(u)
	if err != nil {
		return nil, err
	}
	c.OwnerAuth = o.OwnerAuth
	return opened(tpm.Open(ctx, c))
}

// opened returns a nil interface with an error, where the driver's Open returns a nil
// pointer.
func opened[D driver.Driver](d D, err error) (driver.Driver, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}
