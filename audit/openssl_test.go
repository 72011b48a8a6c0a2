package audit_test

import (
	"encoding/base64"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/openssltest"
)

// TestOpenSSLVerifiesCheckpoint splits an SM2 checkpoint and its verifier key, and
// verifies the signature over the three lines with openssl.
func TestOpenSSLVerifiesCheckpoint(t *testing.T) {
	needSM(t)
	w := openssltest.New(t)
	l := newLog(t, audit.SuiteSM, 3)
	text, line, _ := strings.Cut(string(l.checkpoints[0]), "\n\n")
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line[strings.LastIndex(line, " "):]))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"public.pem": publicPEM(t, l.key), "text": []byte(text + "\n"), "other": []byte(text), "signature": sig[4:],
	} {
		w.Write(name, content)
	}
	for name, good := range map[string]bool{"text": true, "other": false} {
		cmd := exec.Command("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-digest", "sm3",
			"-pkeyopt", "distid:1234567812345678", "-in", name, "-sigfile", "signature")
		cmd.Dir = w.Dir
		out, err := cmd.CombinedOutput()
		if (err == nil) != good || strings.Contains(string(out), "Verified Successfully") != good {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func publicPEM(t *testing.T, key *audit.LogKey) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(key.Verifier(), "+", 3)[2])
	if err != nil {
		t.Fatal(err)
	}
	public, err := sm2.NewPublicKey(raw[len(raw)-65:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := smx509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
