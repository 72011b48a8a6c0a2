package testtoken

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// A PKCS11 is an initialised token of a PKCS #11 module.
type PKCS11 struct {
	// Module is the absolute path of the module. Args is the argument that the module
	// needs at its initialisation.
	Module, Args string
	// Label is the label of the token. No other token has it.
	Label string
	// PINFile is a file with the user PIN that only its owner can read.
	PINFile string
	// Dir is the directory in which a software token stores its objects; empty for
	// others.
	Dir string
	// Whole reports that the token supports every algorithm that the tests use. On other
	// tokens a test whose algorithm is missing is skipped, on this one never.
	Whole bool
	// Another makes another token of the same module. It is nil if a process can have one
	// only.
	Another func(testing.TB) PKCS11
}

// PIN is the user PIN of the disposable tokens, and SOPIN that of their security officer.
const (
	PIN   = "5c74a1-user"
	SOPIN = "5c74a1-officer"
)

const softHSMConf = "SOFTHSM2_CONF"

// Main runs the tests of a package that uses SoftHSM, NSS or p11-kit, and returns the
// exit code for TestMain. m is the *testing.M. The module reads its configuration from the environment when it
// is initialised, so that there is one configuration for the whole process; each test's
// token has a directory of its own in it.
func Main(m interface{ Run() int }) int {
	if err := setFromURI(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp(memoryDir(), "softhsm")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	conf := filepath.Join(dir, "conf")
	text := "directories.tokendir = " + filepath.Join(dir, "tokens") + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// A child of a test uses the tokens of its parent, and the token from the environment
	// may be one of SoftHSM.
	if os.Getenv(childOf) == "" && os.Getenv(ownModule) == "" {
		os.Setenv(softHSMConf, conf)
		setServerAddress(dir)
	}
	os.Setenv(fewIterations, "1")
	return m.Run()
}

// childOf is set for a process that a test starts from its own binary.
const childOf = "STRONGROOM_TEST_CHILD"

// Child returns the environment for a process that shares the tokens of this one.
func Child() []string { return append(os.Environ(), childOf+"=1") }

// NewSoftHSM creates an initialised SoftHSM token. The test's package must call Main.
func NewSoftHSM(t testing.TB) PKCS11 {
	t.Helper()
	if os.Getenv(ownModule) != "" {
		t.Skipf("this test is for SoftHSM, and %s names another token", ownModule)
	}
	conf := os.Getenv(softHSMConf)
	if conf == "" {
		t.Fatal("NewSoftHSM: the package's TestMain does not call testtoken.Main")
	}
	module := find(t, "libsofthsm2.so", "softhsm2", "softhsm")
	if _, err := exec.LookPath("softhsm2-util"); err != nil {
		missing(t, "softhsm2-util", "softhsm2")
	}
	token := PKCS11{Module: module, Label: freshLabel(), PINFile: writePIN(t), Whole: true, Another: NewSoftHSM}
	tokenDirectory.Lock()
	defer tokenDirectory.Unlock()
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", token.Label,
		"--so-pin", SOPIN, "--pin", PIN).CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	token.Dir = directoryOf(t, filepath.Join(filepath.Dir(conf), "tokens"), token.Label)
	t.Cleanup(func() {
		tokenDirectory.Lock()
		defer tokenDirectory.Unlock()
		os.RemoveAll(token.Dir)
	})
	return token
}

// tokenDirectory makes tests that run in parallel create and remove their tokens one at a
// time, because softhsm2-util fails if it sees a token that is half made or half removed.
var tokenDirectory sync.Mutex

// directoryOf returns the directory of a token, found by the label in its file.
func directoryOf(t testing.TB, tokens, label string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(tokens, "*", "token.object"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil && bytes.Contains(content, []byte(label)) {
			return filepath.Dir(file)
		}
	}
	t.Fatalf("no token in %s has the label %s", tokens, label)
	return ""
}

// away is the directory of a token that was taken away. It is outside of the directory
// that SoftHSM searches, which accepts subdirectories of any name.
func (p PKCS11) away() string {
	return filepath.Join(filepath.Dir(filepath.Dir(p.Dir)), filepath.Base(p.Dir)+".away")
}

// TakeAway makes a SoftHSM token disappear, as if it were unplugged.
func (p PKCS11) TakeAway(t testing.TB) {
	t.Helper()
	if err := os.Rename(p.Dir, p.away()); err != nil {
		t.Fatal(err)
	}
}

// PutBack makes the token available again.
func (p PKCS11) PutBack(t testing.TB) {
	t.Helper()
	if err := os.Rename(p.away(), p.Dir); err != nil {
		t.Fatal(err)
	}
}

// ChangeSerial gives a SoftHSM token that was taken away another serial number, as a clone
// has. It returns the new one.
func (p PKCS11) ChangeSerial(t testing.TB, serial string) string {
	t.Helper()
	file, other := filepath.Join(p.away(), "token.object"), []byte(serial)
	other[0] = '0' + '1' - min(other[0], '1')
	content, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(content, []byte(serial)) {
		t.Fatalf("the token's file has not the serial number %s, %v", serial, err)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(content, []byte(serial), other), 0o600); err != nil {
		t.Fatal(err)
	}
	return string(other)
}
