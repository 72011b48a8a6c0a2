//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// modules are those that this process has loaded, by path. C_Initialize is for a
// whole process, so this is the package's one piece of state.
var modules table

type table struct {
	mu      sync.Mutex
	modules map[string]*module
}

// A module is a loaded library. It is never unloaded.
type module struct {
	cryptoki
	ctx *p11.Ctx
	// drain stands before every call into the module.
	drain drain
	// generation goes up with each initialisation; handles are void when it does.
	generation atomic.Uint64

	lock   lock // guards what follows
	users  int
	owned  bool   // this package initialised it, and so may finalise it
	args   string // for its initialisation
	tokens map[string]*token
}

// drainLimit bounds how long a re-initialisation waits for running calls.
const drainLimit = 30 * time.Second

var errModulePath = errors.New("give the absolute path of the PKCS #11 module")

// use returns the module at path, loaded and initialised, for one more user.
func (t *table) use(ctx context.Context, path, args string) (*module, error) {
	m, err := t.load(path)
	if err != nil {
		return nil, fault("dlopen", driver.Invalid, err)
	}
	if err := m.lock.take(ctx); err != nil {
		return nil, err
	}
	defer m.lock.give()
	if m.users > 0 && m.args != args {
		return nil, fault("C_Initialize", driver.Invalid, errors.New("the module is in use with other arguments"))
	}
	if m.users == 0 {
		m.args = args
		if err := m.initialise(); err != nil {
			return nil, err
		}
	}
	m.users++
	return m, nil
}

func (t *table) load(path string) (*module, error) {
	if !filepath.IsAbs(path) {
		return nil, errModulePath
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("is the token's software installed? %w", err)
	}
	if info, err := os.Stat(real); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file: %w", path, errModulePath)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m, ok := t.modules[real]; ok {
		return m, nil
	}
	functions, err := load(real)
	if err != nil {
		return nil, fmt.Errorf("%s is not usable as a PKCS #11 module: %w", path, err)
	}
	ctx := p11.New(real)
	if ctx == nil {
		return nil, fmt.Errorf("%s is not usable as a PKCS #11 module", path)
	}
	m := &module{cryptoki: functions, ctx: ctx, lock: newLock(), tokens: make(map[string]*token)}
	if t.modules == nil {
		t.modules = make(map[string]*module)
	}
	t.modules[real] = m
	return m, nil
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
	m.generation.Add(1)
	return nil
}

// renew initialises the module again, once no call is inside. seen is the generation
// that did not work: if there is a newer one by now, nothing is done. A module that
// others use is not finalised.
func (m *module) renew(ctx context.Context, seen uint64) error {
	if err := m.lock.take(ctx); err != nil {
		return err
	}
	defer m.lock.give()
	if m.generation.Load() != seen {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	if err := m.drain.shut(limited); err != nil {
		return stillBusy(ctx)
	}
	defer m.drain.open()
	m.finalise()
	return m.initialise()
}

// stillBusy is the error of a re-initialisation that running calls hold up.
func stillBusy(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fault("C_Finalize", driver.Unavailable, errors.New("calls into the module do not return"))
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
