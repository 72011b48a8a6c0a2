package tpm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// openssl runs openssl with the tpm2 provider on a TPM to which no driver is connected.
func openssl(t *testing.T, s *testtoken.SWTPM, args ...string) []byte {
	t.Helper()
	// There is no resource manager: objects left by one run would fill the TPM for the
	// next.
	c := exec.Command("openssl", args...)
	c.Env = append(os.Environ(), "TPM2OPENSSL_TCTI=swtpm:path="+s.Socket())
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, stderr.String())
	}
	return out
}

// needProvider skips the test if OpenSSL has no tpm2 provider, and fails it in CI.
func needProvider(t *testing.T) {
	t.Helper()
	out, _ := exec.Command("openssl", "version", "-m").Output()
	_, dir, _ := strings.Cut(string(out), "\"")
	dir, _, _ = strings.Cut(dir, "\"")
	if _, err := os.Stat(filepath.Join(dir, "tpm2.so")); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("OpenSSL has no tpm2 provider: install the packages openssl and tpm2-openssl")
	}
	t.Skip("OpenSSL has no tpm2 provider: install the packages openssl and tpm2-openssl")
}

// TestExportTSS2 signs and decrypts with OpenSSL under exported keys, with and without an
// authorization.
func TestExportTSS2(t *testing.T) {
	needProvider(t)
	for name, spec := range map[string]driver.KeySpec{"P-256": p256Spec, "RSA": rsaSign} {
		for _, auth := range []string{"", "phrase"} {
			t.Run(name+auth, func(t *testing.T) {
				s, dir := newTPM(t), t.TempDir()
				d := openAt(t, s, "")
				n := generate(t, d, spec)
				text, err := d.ExportTSS2(context.Background(), openAs[driver.Signer](t, d, n), []byte(auth))
				if err != nil {
					t.Fatal(err)
				}
				adopts(t, d, spec, text, auth)
				d.Close()
				file, message := filepath.Join(dir, "key.pem"), filepath.Join(dir, "message")
				write(t, file, text)
				write(t, message, []byte("message"))
				sign := []string{"pkeyutl", "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2",
					"-sign", "-rawin", "-digest", "sha256", "-inkey", file, "-in", message}
				if auth != "" {
					sign = append(sign, "-passin", "pass:"+auth)
				}
				signature := openssl(t, s, sign...)
				if digest := sha256.Sum256([]byte("message")); !verifyAny(parsePublic(t, n.PublicDER), digest[:], signature) {
					t.Error("OpenSSL's signature does not verify under the driver's public key")
				}
				d = openAt(t, s, "")
				adopts(t, d, spec, text, auth)
			})
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// adopts imports a key file and uses the key.
func adopts(t *testing.T, d *tpm.Driver, spec driver.KeySpec, text []byte, auth string) named {
	t.Helper()
	n := named{id: driver.MaterialID{9}, spec: spec}
	var err error
	if n.Created, err = d.ImportTSS2(context.Background(), tpm.KeyID{ID: n.id, Spec: spec}, text, []byte(auth)); err != nil {
		t.Fatal(err)
	}
	alg := driver.ECDSASHA256
	if spec == rsaSign {
		alg = driver.RSAPKCS1SHA256
	}
	digest := make([]byte, 32)
	signature, err := openAs[driver.Signer](t, d, n).Sign(context.Background(), alg, digest)
	if err != nil || !verifyAny(parsePublic(t, n.PublicDER), digest, signature) {
		t.Errorf("use of a key from a key file: %v", err)
	}
	return n
}

// TestImportTSS2 imports a key file. The imported key must be usable for one usage under
// one id, like all other keys.
func TestImportTSS2(t *testing.T) {
	d := openFresh(t)
	text, err := d.ExportTSS2(context.Background(), openAs[driver.Signer](t, d, generate(t, d, p256Spec)), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := adopts(t, d, p256Spec, text, "")
	for i := range n.Blob {
		spoiled := n
		spoiled.Blob = slices.Clone(n.Blob)
		spoiled.Blob[i] ^= 1
		_, plain := d.OpenKey(context.Background(), n.id, n.spec, spoiled.Blob)
		if !errors.Is(plain, driver.Authentic) {
			t.Fatalf("OpenKey with byte %d of the blob flipped: %v", i, plain)
		}
		if i < 4 || i >= len(n.Blob)-32 || i >= 6 && i < 6+34 {
			continue
		}
		spoiled.check()
		if _, err := d.OpenKey(context.Background(), n.id, n.spec, spoiled.Blob); !errors.Is(err, driver.Authentic) {
			t.Fatalf("OpenKey with byte %d of the blob flipped and a right checksum: %v", i, err)
		}
	}
	stranger := n
	stranger.id[5] ^= 1
	stranger.Blob = slices.Clone(n.Blob)
	stranger.check()
	if _, err := d.OpenKey(context.Background(), stranger.id, n.spec, stranger.Blob); !errors.Is(err, driver.Authentic) {
		t.Errorf("OpenKey under another id, with a right checksum: %v", err)
	}
	refusesFiles(t, d, text)
}

// TestImportTSS2OfOpenSSL checks that a key that OpenSSL generated is rejected, because a
// power cut after its use counts as an attack, and that the error says so.
func TestImportTSS2OfOpenSSL(t *testing.T) {
	needProvider(t)
	s, file := newTPM(t), filepath.Join(t.TempDir(), "key.pem")
	openssl(t, s, "genpkey", "-provider", "tpm2", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := openAt(t, s, "")
	_, err = d.ImportTSS2(context.Background(), tpm.KeyID{Spec: p256Spec}, text, nil)
	if !errors.Is(err, driver.Invalid) || !strings.Contains(err.Error(), "noda") {
		t.Errorf("ImportTSS2 of a key that can lock the TPM: %v", err)
	}
}

// TestLockableKeyFile shows the effect of a key file as genpkey makes it, although its
// authorization is empty and therefore never wrong: a power cut after its use counts as
// an attack, and a lockout by another program stops it. For this reason the driver
// rejects such a file.
func TestLockableKeyFile(t *testing.T) {
	needProvider(t)
	s, file := testtoken.NewSWTPM(t), filepath.Join(t.TempDir(), "key.pem") // not newTPM: here failures do count
	openssl(t, s, "genpkey", "-provider", "tpm2", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", file)
	message := filepath.Join(t.TempDir(), "message")
	write(t, message, []byte("message"))
	for cut := range uint32(2) {
		openssl(t, s, "pkeyutl", "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2",
			"-sign", "-rawin", "-digest", "sha256", "-inkey", file, "-in", message)
		s.Kill()
		if n := failures(t, s); n != cut+1 {
			t.Errorf("the TPM counted %d failures after %d power cuts", n, cut+1)
		}
	}
}

func refusesFiles(t *testing.T, d *tpm.Driver, text []byte) {
	t.Helper()
	other := openFresh(t)
	id := tpm.KeyID{Spec: p256Spec}
	for what, c := range map[string]struct {
		d     *tpm.Driver
		id    tpm.KeyID
		text  []byte
		auth  string
		class driver.Class
	}{
		"another TPM":     {other, id, text, "", driver.Authentic},
		"a wrong auth":    {d, id, text, "wrong", driver.Denied},
		"another spec":    {d, tpm.KeyID{Spec: rsaSign}, text, "", driver.Invalid},
		"a usage of none": {d, tpm.KeyID{Spec: hmacSpec}, text, "", driver.Invalid},
		"no PEM":          {d, id, []byte("text"), "", driver.Invalid},
		"two keys":        {d, id, append(slices.Clone(text), text...), "", driver.Invalid},
		"half a key":      {d, id, text[:len(text)/2], "", driver.Invalid},
	} {
		_, err := c.d.ImportTSS2(context.Background(), c.id, c.text, []byte(c.auth))
		if !errors.Is(err, c.class) {
			t.Errorf("%s: %v, want %v", what, err, c.class)
		}
	}
}

func TestExportTSS2Refuses(t *testing.T) {
	d := openFresh(t)
	signer := openAs[driver.Signer](t, d, generate(t, d, p256Spec))
	for what, auth := range map[string][]byte{"a zero byte": {1, 0, 2}, "33 bytes": make([]byte, 33)} {
		if _, err := d.ExportTSS2(context.Background(), signer, auth); !errors.Is(err, driver.Invalid) {
			t.Errorf("ExportTSS2 with an authorization with %s: %v", what, err)
		}
	}
	hmac := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	for what, k := range map[string]driver.Key{"a derivation key": hmac, "no key": nil} {
		if _, err := d.ExportTSS2(context.Background(), k, nil); !errors.Is(err, driver.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := openFresh(t).ExportTSS2(context.Background(), signer, nil); !errors.Is(err, driver.Invalid) {
		t.Errorf("ExportTSS2 of another driver's key: %v", err)
	}
}
