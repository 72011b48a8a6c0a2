//go:build cgo && unix

package pkcs11

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"
)

// A module is a loaded PKCS #11 library. It is never unloaded.
type module struct {
	path string // path of the library file
	cryptoki
	ctx *p11.Ctx
	// drain controls every call into the module.
	drain drain
	// generation increases with each initialisation, which invalidates all handles.
	generation atomic.Uint64
	// births increases only if this package's C_Initialize succeeded. A module that
	// another library initialised keeps its state.
	births atomic.Uint64

	// info is the result of C_GetInfo after the first initialisation.
	info ModuleInfo

	lock   lock // guards what follows
	users  int
	owned  bool   // this package initialised it and has not finalised it
	args   string // the initialisation argument
	tokens map[string]*token
	// renewed is the time of the last attempt to initialise the module again.
	renewed time.Time
}

// newModule reads the function list of a loaded library, once.
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

// initialise calls C_Initialize. It accepts a module that another library initialised.
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

// prepare reads the properties of the module. It runs before any other call.
func (m *module) prepare() {
	info, err := m.ctx.GetInfo()
	if err != nil {
		return
	}
	m.info = ModuleInfo{
		Manufacturer: trim(info.ManufacturerID),
		Description:  trim(info.LibraryDescription),
		Version:      version(info.LibraryVersion),
		Cryptoki:     version(info.CryptokiVersion),
	}
	if strings.HasPrefix(m.info.Manufacturer, p11Kit) {
		m.drain.single = newLock()
	}
}

// p11Kit is the manufacturer of p11-kit's modules, which get one call at a time. If the
// connection to its server is lost, one of the threads that wait for a reply gets an
// error, and the others wait for ever (measured with 0.24.1). Concurrency would gain
// nothing, because the server processes one call of a client at a time.
const p11Kit = "PKCS#11 Kit"

// finalise calls C_Finalize if this package initialised the module. It does not check
// first whether the module works, because some modules fail every call after a lost
// connection until C_Finalize. If C_Finalize fails too, the module stays owned, so that
// the next repair calls it again and does not take the module for one that another
// library initialised.
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

// release gives up one use. After the last one the module is finalised, if this package
// initialised it.
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
