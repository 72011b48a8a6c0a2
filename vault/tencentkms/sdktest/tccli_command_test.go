package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/internal/testing/clients"
)

// A cli is the command tccli.
type cli struct {
	*server
	t   *testing.T
	env []string
}

// newCLI returns the command, configured for a server with TLS, without which it does not work. It
// trusts the certificates of the Python package certifi alone, in whose place it gets one with the
// certificate of the server.
func newCLI(t *testing.T) *cli {
	t.Helper()
	if _, err := exec.LookPath("tccli"); err != nil {
		clients.Missing(t, "tccli is not in the path: pip install tccli")
	}
	s := newServer(t)
	over := httptest.NewTLSServer(s)
	t.Cleanup(over.Close)
	home := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bundle := file("server.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: over.Certificate().Raw}))
	file("certifi.py", fmt.Appendf(nil, "def where():\n    return %q\n", bundle))
	path := strings.Trim(home+":"+os.Getenv("PYTHONPATH"), ":")
	c := &cli{s, t, s.environment(t, "HOME="+home, "PYTHONPATH="+path)}
	clients.Run(t, home, c.env, "tccli", "configure", "set", "region", "local", "output", "json", "kms.endpoint", strings.TrimPrefix(over.URL, "https://"))
	return c
}

// run runs a command, and returns its output, or the text of its error.
func (c *cli) run(action string, args ...string) (map[string]any, string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "tccli", append([]string{"kms", action}, args...)...)
	cmd.Env = c.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, string(out) + stderr.String()
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		c.t.Fatalf("%s: %s", action, out)
	}
	return got, ""
}

// must runs a command that succeeds.
func (c *cli) must(action string, args ...string) map[string]any {
	c.t.Helper()
	got, failed := c.run(action, args...)
	if failed != "" {
		c.t.Fatalf("tccli kms %s %v: %s", action, args, failed)
	}
	return got
}

// refused runs a command that fails.
func (c *cli) refused(code, action string, args ...string) {
	c.t.Helper()
	if _, failed := c.run(action, args...); !strings.Contains(failed, code) {
		c.t.Errorf("tccli kms %s %v: %q, not %s", action, args, failed, code)
	}
}

// create makes a CMK, and returns its id.
func (c *cli) create(alias string, args ...string) string {
	c.t.Helper()
	return c.must("CreateKey", append([]string{"--Alias", alias}, args...)...)["KeyId"].(string)
}

// public returns the public key of a CMK.
func (c *cli) public(key string) any {
	c.t.Helper()
	return c.parsed(c.must("GetPublicKey", "--KeyId", key)["PublicKey"])
}

func (c *cli) parsed(field any) any {
	c.t.Helper()
	key, err := smx509.ParsePKIXPublicKey(c.bytes(field))
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

// bytes decodes base64.
func (c *cli) bytes(field any) []byte {
	c.t.Helper()
	b, err := base64.StdEncoding.DecodeString(field.(string))
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// base64 encodes the result of a function of a library.
func (c *cli) base64(b []byte, err error) string {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}
