//go:build cgo && unix

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// A module is a loaded PKCS #11 library. It is never unloaded.
type module struct {
	path string // path of the library file
	*cryptoki.Library
	// calls controls every call into the module.
	calls inflightCalls
	// generation increases with each initialisation, which invalidates all handles.
	generation atomic.Uint64
	// initCount increases only if this package's C_Initialize succeeded. A module that
	// another library initialised keeps its state.
	initCount atomic.Uint64

	lock   mutex // guards what follows
	users  int
	owned  bool   // this package initialised it and has not finalised it
	args   string // the initialisation argument
	tokens map[string]*token
	// lastInit is the time of the last attempt to initialise the module again.
	lastInit time.Time
}

// prepare reads the properties of the module. It runs before any other call.
func (m *module) prepare() {
	m.ReadInfo()
	if strings.HasPrefix(m.Info.Manufacturer, p11Kit) {
		m.calls.single = newMutex()
	}
}

// p11Kit is the manufacturer of p11-kit's modules, which get one call at a time. If the
// connection to its server is lost, one of the threads that wait for a reply gets an
// error, and the others wait for ever (measured with 0.24.1). Concurrency would gain
// nothing, because the server processes one call of a client at a time.
const p11Kit = "PKCS#11 Kit"

// release gives up one use. After the last one the module is finalised, if this package
// initialised it.
func (m *module) release() error {
	m.lock <- struct{}{}
	defer m.lock.give()
	m.users--
	if m.users > 0 {
		return nil
	}
	if err := m.calls.block(context.Background()); err != nil {
		return err
	}
	defer m.calls.open()
	m.finalise()
	m.generation.Add(1)
	return nil
}

// Modules are the modules that this process has loaded. It is the only global state of
// the package, because C_Initialize applies to the whole process.
var Modules Registry

type Registry struct {
	mu sync.Mutex
	// modules has one entry for each handle that the system returns, so that two links to
	// one file are one module.
	modules map[unsafe.Pointer]*module
}

var errModulePath = errors.New("give the absolute path of the PKCS #11 module")

// acquire returns the module at path, loaded and initialised, and counts one more user. The
// caller calls release.
func (t *Registry) acquire(ctx context.Context, path, args string) (*module, error) {
	m, err := t.Load(path)
	if err != nil {
		return nil, cryptoki.Fault("dlopen", driver.Invalid, err)
	}
	if err := m.lock.take(ctx); err != nil {
		return nil, err
	}
	defer m.lock.give()
	if m.users > 0 && m.args != args {
		return nil, cryptoki.Fault("C_Initialize", driver.Invalid, errors.New("the module is in use with other arguments"))
	}
	if m.users == 0 {
		m.args = args
		if err := m.initialise(); err != nil {
			return nil, err
		}
		m.prepare()
	}
	m.users++
	return m, nil
}

func (t *Registry) Load(path string) (*module, error) {
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
	handle, err := cryptoki.Dlopen(real)
	if err != nil {
		return nil, fmt.Errorf("%s is not usable as a PKCS #11 module: %w", path, err)
	}
	if m, ok := t.modules[handle]; ok {
		return m, nil
	}
	lib, err := cryptoki.NewLibrary(real)
	if err != nil {
		return nil, fmt.Errorf("%s is not usable as a PKCS #11 module: %w", path, err)
	}
	m := &module{path: real, Library: lib, lock: newMutex(), tokens: make(map[string]*token)}
	if t.modules == nil {
		t.modules = make(map[unsafe.Pointer]*module)
	}
	t.modules[handle] = m
	return m, nil
}
