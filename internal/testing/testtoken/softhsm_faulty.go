//go:build unix

package testtoken

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

var (
	//go:embed testdata/faulty.c
	faultySource []byte
	//go:embed testdata/quirks.c
	quirksSource []byte
)

// A FaultyPKCS11 is a token behind a module that fails or delays calls on demand. The
// module is built with the C compiler, and calls the token's own module.
type FaultyPKCS11 struct {
	PKCS11
	words *[1024]uint32
}

// A PKCS11Call is the number of a function of a module.
type PKCS11Call uint32

// The functions that a FaultyPKCS11 can fail and counts.
const (
	CFinalize        PKCS11Call = 1
	COpenSession     PKCS11Call = 12
	CGetSessionInfo  PKCS11Call = 15
	CLogin           PKCS11Call = 18
	CCreateObject    PKCS11Call = 20
	CDestroyObject   PKCS11Call = 22
	CGetAttribute    PKCS11Call = 24
	CFindObjectsInit PKCS11Call = 26
	CFindObjects     PKCS11Call = 27
	CEncrypt         PKCS11Call = 30
	CDecryptInit     PKCS11Call = 33
	CDecrypt         PKCS11Call = 34
	CSignInit        PKCS11Call = 42
	CSign            PKCS11Call = 43
	CGenerateKey     PKCS11Call = 58
	CGenerateKeyPair PKCS11Call = 59
	CUnwrapKey       PKCS11Call = 61
	CGenerateRandom  PKCS11Call = 64
)

// NewFaulty puts a faulty module in front of a token.
func NewFaulty(t testing.TB, token PKCS11) FaultyPKCS11 {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		missing(t, "gcc", "gcc")
	}
	dir := t.TempDir()
	source, control := filepath.Join(dir, "faulty.c"), filepath.Join(dir, "control")
	for path, content := range map[string][]byte{
		source: faultySource, filepath.Join(dir, "quirks.c"): quirksSource, control: make([]byte, 4096),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	real := token.Module
	token.Module = filepath.Join(dir, "libfaulty.so")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", `-DMODULE="`+real+`"`, `-DCONTROL="`+control+`"`,
		`-DPIN="`+PIN+`"`, "-o", token.Module, source, "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return FaultyPKCS11{token, shared(t, control)}
}

// shared maps the control file. It stays mapped, because the module may still be running.
func shared(t testing.TB, path string) *[1024]uint32 {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	memory, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return (*[1024]uint32)(unsafe.Pointer(unsafe.SliceData(memory)))
}

// Fail makes the next n calls of a function return code. If act is set, they do their
// work first.
func (f FaultyPKCS11) Fail(call PKCS11Call, code uint32, n int, act bool) {
	atomic.StoreUint32(&f.words[3], 0)
	atomic.StoreUint32(&f.words[1], uint32(call))
	atomic.StoreUint32(&f.words[2], code)
	atomic.StoreUint32(&f.words[4], 0)
	if act {
		atomic.StoreUint32(&f.words[4], 1)
	}
	atomic.StoreUint32(&f.words[3], uint32(n))
}

// Left returns how many calls are still to fail.
func (f FaultyPKCS11) Left() int { return int(atomic.LoadUint32(&f.words[3])) }

// Slow delays each call.
func (f FaultyPKCS11) Slow(by time.Duration) {
	atomic.StoreUint32(&f.words[0], uint32(by/time.Microsecond))
}

// Sessions limits the number of sessions; 0 means no limit.
func (f FaultyPKCS11) Sessions(limit int) { atomic.StoreUint32(&f.words[5], uint32(limit)) }

// Calls returns how often a function was called.
func (f FaultyPKCS11) Calls(call PKCS11Call) int {
	return int(atomic.LoadUint32(&f.words[16+call]))
}

// ForgetSessions resets the count of open sessions, after the module was finalised.
func (f FaultyPKCS11) ForgetSessions() { atomic.StoreUint32(&f.words[6], 0) }

// Cut makes every call fail with code, including C_GetInfo: the module has lost its
// device. C_Initialize fails too, until Join; C_Finalize does not.
func (f FaultyPKCS11) Cut(code uint32) {
	atomic.StoreUint32(&f.words[8], code)
	atomic.AddUint32(&f.words[9], 1)
}

// Join restores the link. Every call still fails until C_Finalize and C_Initialize were
// called.
func (f FaultyPKCS11) Join() { atomic.StoreUint32(&f.words[8], 0) }

// Hang makes every call of a function hang until Release.
func (f FaultyPKCS11) Hang(call PKCS11Call) { atomic.StoreUint32(&f.words[10], uint32(call)) }

// AwaitHang waits until a call hangs.
func (f FaultyPKCS11) AwaitHang(t testing.TB) {
	t.Helper()
	f.AwaitHanging(t, 1)
}

// AwaitHanging waits until as many calls hang at the same time.
func (f FaultyPKCS11) AwaitHanging(t testing.TB, calls int) {
	t.Helper()
	for start := time.Now(); int(atomic.LoadUint32(&f.words[11])) < calls; time.Sleep(time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("%d calls hang after a minute, want %d", atomic.LoadUint32(&f.words[11]), calls)
		}
	}
}

// Release lets hanging calls continue.
func (f FaultyPKCS11) Release() { atomic.StoreUint32(&f.words[10], 0) }
