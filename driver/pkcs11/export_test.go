//go:build cgo && unix

package pkcs11

import (
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// ModuleContext returns the function list by which the driver calls a module. It does not
// initialise the module.
func ModuleContext(path string) (*p11.Ctx, error) {
	m, err := modules.load(path)
	if err != nil {
		return nil, err
	}
	return m.ctx, nil
}

// Refused returns the error for a C_Initialize that failed with a code.
func Refused(path, args string, rv uint) error { return refused(path, args, code("C_Initialize", rv)) }

// LimitClose makes Close wait no longer than limit for running calls.
func LimitClose(d driver.Driver, limit time.Duration) { d.(*Driver).limit = limit }
