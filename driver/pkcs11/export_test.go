//go:build cgo && unix

package pkcs11

import (
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/session"
)

// ModuleContext returns the function list by which the driver calls a module. It does not
// initialise the module.
func ModuleContext(path string) (*p11.Ctx, error) {
	m, err := session.Modules.Load(path)
	if err != nil {
		return nil, err
	}
	return m.Ctx, nil
}

// NewProtector returns a protector with any driver.
func NewProtector(token driver.Driver) *Protector { return newProtector(token) }

// LimitClose makes Close wait no longer than limit for running calls.
func LimitClose(d driver.Driver, limit time.Duration) { d.(*Driver).limit = limit }
