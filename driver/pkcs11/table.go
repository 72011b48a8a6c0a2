//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"strongroom.example/driver"
)

// modules are the modules that this process has loaded. It is the only global state of
// the package, because C_Initialize applies to the whole process.
var modules table

type table struct {
	mu sync.Mutex
	// modules has one entry for each handle that the system returns, so that two links to
	// one file are one module.
	modules map[unsafe.Pointer]*module
}

var errModulePath = errors.New("give the absolute path of the PKCS #11 module")

// use returns the module at path, loaded and initialised, and counts one more user. The
// caller calls release.
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
		m.prepare()
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
	handle, err := dlopen(real)
	if err != nil {
		return nil, fmt.Errorf("%s is not usable as a PKCS #11 module: %w", path, err)
	}
	if m, ok := t.modules[handle]; ok {
		return m, nil
	}
	m, err := newModule(real)
	if err != nil {
		return nil, fmt.Errorf("%s is not usable as a PKCS #11 module: %w", path, err)
	}
	if t.modules == nil {
		t.modules = make(map[unsafe.Pointer]*module)
	}
	t.modules[handle] = m
	return m, nil
}
