package tpm_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
)

// TestBadInput opens addresses that are not a TPM, or not a usable one. Each error must
// be one line that names what was tried and a remedy, and must be returned without long
// waiting.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, nil)
	failing := func(err error) tpm.Config {
		return tpm.Config{Dial: func() (transport.TPMCloser, error) { return nil, err }}
	}
	cases := map[string]struct {
		cfg   tpm.Config
		class driver.Class
		says  []string
	}{
		"no such device":   {tpm.Config{Device: filepath.Join(dir, "none")}, driver.Unavailable, []string{"none", "leave the device empty"}},
		"no device file":   {tpm.Config{Device: file}, driver.Unavailable, []string{file, "unix:"}},
		"no such socket":   {tpm.Config{Device: "unix:" + filepath.Join(dir, "socket")}, driver.Unavailable, []string{"socket", "running"}},
		"no such port":     {tpm.Config{Device: "tcp:127.0.0.1:1"}, driver.Unavailable, []string{"127.0.0.1:1", "running"}},
		"garbage":          {tpm.Config{Device: "unix:" + garbage(t, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))}, driver.Unavailable, []string{"TPM"}},
		"a short answer":   {tpm.Config{Device: "unix:" + garbage(t, []byte{0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0})}, driver.Unknown, []string{"TPM"}},
		"a TPM 1.2":        {tpm.Config{Device: "unix:" + garbage(t, []byte{0, 0xC4, 0, 0, 0, 10, 0, 0, 0, 0x1E})}, driver.Unsupported, []string{"TPM 1.2", "firmware setup"}},
		"an empty answer":  {tpm.Config{Device: "unix:" + garbage(t, nil)}, driver.Unavailable, []string{"TPM", "unix:", "path or port"}},
		"an own transport": {failing(io.ErrClosedPipe), driver.Unavailable, []string{"closed pipe"}},
	}
	if noTPM() {
		cases["no TPM"] = struct {
			cfg   tpm.Config
			class driver.Class
			says  []string
		}{tpm.Config{}, driver.Unavailable, []string{"/dev/tpmrm0", "/dev/tpm0", "firmware setup"}}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			from := time.Now()
			d, err := tpm.Open(c.cfg)
			if err == nil {
				d.Close()
			}
			oneLine(t, err, c.class, c.says...)
			if took := time.Since(from); took > 3*time.Second {
				t.Errorf("Open took %v", took)
			}
		})
	}
}

func noTPM() bool {
	_, err := os.Stat("/dev/tpm0")
	_, errRM := os.Stat("/dev/tpmrm0")
	return runtime.GOOS == "linux" && errors.Is(err, fs.ErrNotExist) && errors.Is(errRM, fs.ErrNotExist)
}

func oneLine(t *testing.T, err error, class driver.Class, says ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("Open: %v, want %v", err, class)
	}
	if strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
		t.Errorf("the error %q is not a single line", err)
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error %q does not contain %q", err, word)
		}
	}
}

// garbage serves a socket that sends every client the same bytes and closes the
// connection.
func garbage(t *testing.T, answer []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			c.Write(answer)
			c.Close()
		}
	}()
	return path
}

// TestExplained checks the remedy for each error of the system about a device.
func TestExplained(t *testing.T) {
	for err, word := range map[error]string{
		syscall.EACCES: "group tss",
		syscall.EBUSY:  "/dev/tpmrm0",
		syscall.ENOENT: "leave the device empty",
	} {
		if got := tpm.Explain(&fs.PathError{Op: "open", Path: "/dev/tpm0", Err: err}).Error(); !strings.Contains(got, word) || !strings.Contains(got, "/dev/tpm0") {
			t.Errorf("the error %q does not contain %q", got, word)
		}
	}
}

// TestCounterPlaceTaken puts another object at the counter's NV index.
func TestCounterPlaceTaken(t *testing.T) {
	s := chip(t)
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex:    0x01500001,
			NameAlg:    tpm2.TPMAlgSHA256,
			Attributes: tpm2.TPMANV{AuthRead: true, AuthWrite: true, NoDA: true},
			DataSize:   64,
		}),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err = tpm.Open(tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500001})
	oneLine(t, err, driver.Denied, "0x1500001", "Config.Counter", "0x1500002")
	openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), Counter: 0x01500002})
}

// TestLockout locks a TPM by wrong authorizations of another program's object. The
// driver's keys must stay usable, Health must report the lockout, and ResetLockout must
// end it.
func TestLockout(t *testing.T) {
	s := testtoken.NewSWTPM(t) // not chip, because here failures count
	d := openAt(t, s, "")
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	if h := health(t, d); h.Lockout || h.Failures != 0 || h.MaxFailures == 0 || h.Interval == 0 {
		t.Errorf("Health of a fresh TPM: %+v", h)
	}
	if err := d.Do(failUntilLocked); err != nil {
		t.Fatal(err)
	}
	if h := health(t, d); !h.Lockout || h.Failures < h.MaxFailures {
		t.Errorf("Health of a TPM in lockout: %+v", h)
	}
	prf(t, k)
	root, blob := seal(t, protector(t, d, tpm.Policy{}))
	opens(t, protector(t, d, tpm.Policy{}), root, blob, "in a lockout")
	if err := d.ResetLockout(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if h := health(t, d); h.Lockout || h.Failures != 0 {
		t.Errorf("Health after ResetLockout: %+v", h)
	}
	if err := d.ResetLockout(context.Background(), []byte("wrong")); !errors.Is(err, driver.Denied) {
		t.Errorf("ResetLockout with a wrong authorization: %v", err)
	}
	oneLine(t, d.ResetLockout(context.Background(), nil), driver.Denied, "locked out")
}

func health(t *testing.T, d *tpm.Driver) tpm.Health {
	t.Helper()
	h, err := d.Health(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// failUntilLocked creates an object that is subject to the protection against dictionary
// attacks, and uses wrong authorizations until the TPM locks.
func failUntilLocked(c transport.TPM) error {
	area := tpm2.ECCSRKTemplate
	area.ObjectAttributes.NoDA = false
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		InSensitive:   tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}}},
		InPublic:      tpm2.New2B(area),
	}.Execute(c)
	if err != nil {
		return err
	}
	defer tpm2.FlushContext{FlushHandle: made.ObjectHandle}.Execute(c)
	for range 100 {
		_, err = tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: made.ObjectHandle, Name: made.Name, Auth: tpm2.PasswordAuth([]byte("wrong"))},
			InPublic:     tpm2.New2B(tpm2.ECCSRKTemplate),
		}.Execute(c)
		if errors.Is(err, tpm2.TPMRCLockout) {
			return nil
		}
		if errors.Is(err, tpm2.TPMRCRetry) {
			time.Sleep(time.Millisecond)
		}
	}
	return err
}

// TestHung uses a TPM that accepts a command and never responds. The driver must close
// the connection and end the call.
func TestHung(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	from := time.Now()
	_, err = tpm.Open(tpm.Config{Device: "unix:" + l.Addr().String()})
	if !errors.Is(err, driver.Unavailable) {
		t.Errorf("PRF on a TPM that does not respond: %v", err)
	}
	if took := time.Since(from); took > 8*time.Second {
		t.Errorf("PRF on a TPM that does not respond returned after %v", took)
	}
}
