package pkcs8_test

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/testing/oddkeys"
	"strongroom.example/internal/testing/openssltest"
)

// TestOddKeys runs Parse over the table of unusual keys: each file must be accepted, or
// rejected with the text that names its fault.
func TestOddKeys(t *testing.T) {
	rows := oddkeys.Table(t)
	for _, r := range rows {
		k, err := pkcs8.Parse(r.Spec, slices.Clone(r.File))
		var refused *pkcs8.Error
		switch {
		case r.Taken() && err != nil:
			t.Errorf("Parse(%v, %s): %v, want no error", r.Spec, r.Name, err)
		case r.Taken():
			wantRestriction(t, r, k.PSS)
			k.Wipe()
		case err == nil:
			t.Errorf("Parse(%v, %s) accepted the file, want an error with %q", r.Spec, r.Name, r.Fault)
		case !errors.As(err, &refused) || !strings.Contains(err.Error(), r.Fault):
			t.Errorf("Parse(%v, %s): %v, want a *pkcs8.Error with %q", r.Spec, r.Name, err, r.Fault)
		}
	}
	t.Logf("%d files", len(rows))
}

// TestPublicRestriction: the public half of a key with the identifier id-RSASSA-PSS has
// the restriction of the private key, or the same error.
func TestPublicRestriction(t *testing.T) {
	restricted := 0
	for _, r := range oddkeys.Table(t) {
		if r.Public == nil {
			continue
		}
		p, err := pkcs8.ParsePublic(r.Public)
		if err != nil {
			t.Errorf("%s: ParsePublic: %v", r.Name, err)
			continue
		}
		pss, err := p.PSS(r.Spec)
		switch {
		case r.Taken() && err == nil && pss != nil:
			wantRestriction(t, r, pss)
			restricted++
		case strings.HasPrefix(r.Name, "RSA-PSS") && (err == nil || !strings.Contains(err.Error(), r.Fault)):
			t.Errorf("%s: PSS: %v, %v, want an error with %q", r.Name, pss, err, r.Fault)
		case strings.HasPrefix(r.Name, "RSA-PSS"):
			restricted++
		case pss != nil || err != nil:
			t.Errorf("%s: PSS: %v, %v, want no restriction", r.Name, pss, err)
		}
	}
	if restricted != 9 {
		t.Errorf("%d public halves are restricted, want 9", restricted)
	}
}

// wantRestriction checks the algorithms by which a key may sign.
func wantRestriction(t *testing.T, r oddkeys.Row, pss *pkcs8.PSS) {
	t.Helper()
	for _, alg := range []driver.SignAlg{driver.RSAPKCS1SHA256, driver.RSAPKCS1SHA384, driver.RSAPKCS1SHA512, driver.RSAPSSSHA256, driver.RSAPSSSHA384, driver.RSAPSSSHA512} {
		if got, want := pss.Allows(alg), r.Sign == nil || slices.Contains(r.Sign, alg); got != want {
			t.Errorf("%s: Allows(%s) = %v, want %v", r.Name, alg, got, want)
		}
	}
}

// TestRemediesConvert runs the openssl command of an error's remedy, and checks that
// Parse accepts its output.
func TestRemediesConvert(t *testing.T) {
	converted := 0
	for _, r := range oddkeys.Table(t) {
		if !r.Converts {
			continue
		}
		_, err := pkcs8.Parse(r.Spec, r.File)
		var refused *pkcs8.Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v, want a *pkcs8.Error", r.Name, err)
			continue
		}
		_, command, ok := strings.Cut(refused.Remedy, ": ")
		if !ok {
			t.Errorf("%s: the remedy %q contains no command", r.Name, refused.Remedy)
			continue
		}
		b := openssltest.New(t)
		b.Write("key", r.File)
		for _, line := range strings.Split(command, "; then ") {
			run := exec.CommandContext(t.Context(), "sh", "-c", line)
			run.Dir = b.Dir
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", r.Name, line, err, out)
			}
		}
		if _, err := pkcs8.Parse(r.Spec, b.Read("key.der")); err != nil {
			t.Errorf("%s: Parse after the remedy %q: %v, want no error", r.Name, refused.Remedy, err)
		}
		converted++
	}
	if converted == 0 {
		t.Error("no row of the table has a remedy that converts")
	}
}
