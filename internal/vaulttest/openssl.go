package vaulttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/vault"
)

// workbench is a directory in which the real openssl runs.
type workbench struct {
	*testing.T
	dir string
}

func newWorkbench(t *testing.T) workbench {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the openssl command is missing: install the package openssl")
		}
		t.Skip("needs the openssl command: install the package openssl")
	}
	return workbench{t, t.TempDir()}
}

// run runs one openssl command line, split at spaces, in the directory.
func (w workbench) run(line string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "openssl", strings.Fields(line)...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("openssl %s: %v\n%s", line, err, out)
	}
	return string(out)
}

func (w workbench) write(name string, b []byte) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), b, 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w workbench) read(name string) []byte {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// openSSLVerifies: openssl takes the signatures of messages and of digests.
func openSSLVerifies(t *testing.T, s *subject) {
	for _, x := range s.signings() {
		if !x.can {
			continue
		}
		t.Run(x.String(), func(t *testing.T) {
			w := newWorkbench(t)
			p := s.shared.public(t, x.row)
			w.write("public.pem", p.PEM())
			w.write("message", []byte(message))
			digest := digestOf(t, x.signAlg, parse(t, p), []byte(message))
			for kind, input := range map[vault.MessageType][]byte{vault.Raw: []byte(message), vault.Digest: digest} {
				if input == nil {
					continue // Ed25519 takes no digests
				}
				o := vault.SignOptions{Algorithm: x.alg, MessageType: kind}
				signature, err := s.shared.owner().Sign(t.Context(), p.Key, input, o)
				if err != nil {
					t.Fatal(err)
				}
				w.write("signature", signature)
				if out := w.run(x.openssl); !strings.Contains(out, "Verified OK") && !strings.Contains(out, "Signature Verified Successfully") {
					t.Errorf("%s: %s", kind, out)
				}
			}
		})
	}
}

// openSSLEncrypts: what openssl encrypts to the public key, the vault decrypts.
func openSSLEncrypts(t *testing.T, s *subject) {
	for _, x := range s.decryptings() {
		if !x.can {
			continue
		}
		t.Run(x.String(), func(t *testing.T) {
			w := newWorkbench(t)
			p := s.shared.public(t, x.row)
			w.write("public.pem", p.PEM())
			w.write("message", []byte(message))
			w.run("pkeyutl -encrypt -pubin -inkey public.pem -in message -out encrypted" + x.encryptAlg.openssl)
			got, err := s.shared.owner().AsymmetricDecrypt(t.Context(), p.Key, w.read("encrypted"), x.alg)
			if err := same(got, err); err != nil {
				t.Error(err)
			}
		})
	}
}
