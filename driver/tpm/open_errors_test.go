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
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/poll"
)

// TestOpenErrors opens addresses that are not a TPM, or not a usable one. Each error must
// be one line that names what was tried and a remedy, and must be returned without long
// waiting.
func TestOpenErrors(t *testing.T) {
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
			t.Parallel()
			lag, from := poll.Lag(), time.Now()
			d, err := tpm.Open(t.Context(), c.cfg)
			if err == nil {
				d.Close()
			}
			oneLine(t, err, c.class, c.says...)
			took := time.Since(from)
			if late := lag(); took > 2*time.Second+limit(late) {
				t.Errorf("Open took %v, and timers on the machine were %v late", took, late)
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

// TestOpenCanceled ends the context of Open while it tries to reach a TPM.
func TestOpenCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dials := 0
	cfg := tpm.Config{Patience: time.Hour, Dial: func() (transport.TPMCloser, error) {
		if dials++; dials == 2 {
			cancel()
		}
		return nil, io.ErrClosedPipe
	}}
	if _, err := tpm.Open(ctx, cfg); err != context.Canceled {
		t.Errorf("Open with a canceled context: %v, want context.Canceled", err)
	}
	if _, err := tpm.Open(ctx, cfg); err != context.Canceled || dials != 2 {
		t.Errorf("Open with a context that is already canceled: %v after %d dials, want context.Canceled after 2", err, dials)
	}
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
	limits := tpm.TestLimits{Greeting: 100 * time.Millisecond, Patience: time.Second, SelfTest: time.Second}
	_, err = tpm.OpenWithin(t.Context(), tpm.Config{Device: "unix:" + l.Addr().String()}, limits)
	if !errors.Is(err, driver.Unavailable) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("Open of a TPM that does not respond: %v, want Unavailable", err)
	}
}
