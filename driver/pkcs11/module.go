//go:build cgo && unix

package pkcs11

import (
	"context"
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"
)

// A module is a loaded library. It is never unloaded.
type module struct {
	cryptoki
	ctx *p11.Ctx
	// drain stands before every call into the module.
	drain drain
	// generation goes up with each initialisation; handles are void when it does.
	generation atomic.Uint64
	// births goes up where the module did begin anew; one that is adopted goes on as it was.
	births atomic.Uint64

	lock   lock // guards what follows
	users  int
	owned  bool   // this package initialised it, and so may finalise it
	args   string // for its initialisation
	tokens map[string]*token
	// renewed is when the module was initialised again, or that was tried.
	renewed time.Time
}

// initialise calls C_Initialize. A module that someone else initialised is adopted.
func (m *module) initialise() error {
	options := []p11.InitializeOption{}
	if m.args != "" {
		text, free := cString(m.args)
		defer free()
		options = append(options, p11.InitializeWithReserved(text))
	}
	err := from("C_Initialize", m.ctx.Initialize(options...))
	if err != nil && codeOf(err) != p11.CKR_CRYPTOKI_ALREADY_INITIALIZED {
		return failed(err)
	}
	m.owned = err == nil
	if m.owned {
		m.births.Add(1)
	}
	m.generation.Add(1)
	return nil
}

// finalise is for a module that this package initialised, and that is so still. What
// it returns does not matter: initialising it comes next, or nothing.
func (m *module) finalise() {
	if _, err := m.ctx.GetInfo(); err == nil && m.owned {
		m.ctx.Finalize()
	}
}

// release gives up one use. After the last the module is finalised, if it may be.
func (m *module) release() error {
	m.lock <- struct{}{}
	defer m.lock.give()
	m.users--
	if m.users > 0 {
		return nil
	}
	if err := m.drain.shut(context.Background()); err != nil {
		return err
	}
	defer m.drain.open()
	m.finalise()
	m.generation.Add(1)
	return nil
}
