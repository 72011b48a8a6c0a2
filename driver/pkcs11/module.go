//go:build cgo && unix

package pkcs11

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"
)

// A module is a loaded library. It is never unloaded.
type module struct {
	path string // of its file
	cryptoki
	ctx *p11.Ctx
	// drain stands before every call into the module.
	drain drain
	// generation goes up with each initialisation; handles are void when it does.
	generation atomic.Uint64
	// births goes up where the module did begin anew; one that is adopted goes on as it was.
	births atomic.Uint64

	// maker is the manufacturer that the module names, as it was first initialised.
	maker string

	lock   lock // guards what follows
	users  int
	owned  bool   // this package initialised it and has not finalised it
	args   string // for its initialisation
	tokens map[string]*token
	// renewed is when the module was initialised again, or that was tried.
	renewed time.Time
}

// newModule asks a library that is loaded for its function list, once.
func newModule(path string) (*module, error) {
	ctx := p11.New(path)
	if ctx == nil {
		return nil, errNoList
	}
	list, err := functions(ctx)
	if err != nil {
		return nil, err
	}
	return &module{path: path, cryptoki: list, ctx: ctx, lock: newLock(), tokens: make(map[string]*token)}, nil
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
		return refused(m.path, m.args, err)
	}
	if err == nil {
		m.owned = true
		m.births.Add(1)
	}
	m.generation.Add(1)
	return nil
}

// prepare finds out what is to be known of the module. Nobody is inside yet.
func (m *module) prepare() {
	info, err := m.ctx.GetInfo()
	if err != nil {
		return
	}
	m.maker = trim(info.ManufacturerID)
	if strings.HasPrefix(m.maker, p11Kit) {
		m.drain.single = newLock()
	}
}

// p11Kit is the manufacturer of p11-kit's modules, which take one call at a time. Where
// the link to its server is lost, one of the threads that wait for an answer gets an error,
// and the others wait for ever (measured, 0.24.1). Side by side they gain nothing: the
// server works on one call of a client at a time.
const p11Kit = "PKCS#11 Kit"

// finalise calls C_Finalize if this package initialised the module. The module is not
// asked first whether it still works: some fail every call from a lost link until
// C_Finalize. One that fails this call too stays owned, so that the next repair calls it
// again, and is not taken for one that somebody else initialised.
func (m *module) finalise() {
	if !m.owned {
		return
	}
	switch codeOf(from("C_Finalize", m.ctx.Finalize())) {
	case p11.CKR_OK, p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		m.owned = false
		m.generation.Add(1)
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
