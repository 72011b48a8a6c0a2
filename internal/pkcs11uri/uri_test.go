package pkcs11uri

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]URI{
		"pkcs11:": {Scheme: "pkcs11"},
		"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;serial=4711?pin-source=file:/etc/token_pin": {
			Scheme: "pkcs11",
			Path:   map[string]string{"token": "The Software PKCS#11 Softtoken", "manufacturer": "Snake Oil, Inc.", "serial": "4711"},
			Query:  map[string]string{"pin-source": "file:/etc/token_pin"},
		},
		"pkcs11:id=%69%95?module-path=/usr/lib/a.so&x-profile=nss": {Scheme: "pkcs11"}, // %95 alone is no UTF-8
		"tpm:device=/dev/tpmrm0;empty=":                            {Scheme: "tpm", Path: map[string]string{"device": "/dev/tpmrm0", "empty": ""}},
	} {
		got, err := Parse(text)
		if strings.Contains(text, "%95") {
			if !errors.Is(err, ErrSyntax) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || got.Scheme != want.Scheme || !maps.Equal(got.Path, want.Path) || !maps.Equal(got.Query, want.Query) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "pkcs11", ":token=a", "PKCS11:token=a", "1a:token=b", "pkcs11:token", "pkcs11:=a", "pkcs11:token=a;",
		"pkcs11:token=a;token=b", "pkcs11:token=%", "pkcs11:token=%4", "pkcs11:token=%4g", "pkcs11:token=a b",
		"pkcs11:token=%00", "pkcs11:token=a?", "pkcs11:to ken=a", "pkcs11:token=<a>", "pkcs11:token=ä",
		"pkcs11:token=" + strings.Repeat("a", MaxLength),
	} {
		if u, err := Parse(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.40q: %+v, %v", text, u, err)
		}
	}
}

// TestErrorsQuoteNoValue puts a PIN in places where it does not belong.
func TestErrorsQuoteNoValue(t *testing.T) {
	for _, text := range []string{"pkcs11:token=a?pin-value=hunter2%", "pkcs11:pin-value=hunter2;pin-value=b", "pkcs11:hunter2"} {
		if _, err := Parse(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("pkcs11:token=a%20b;serial=1?module-path=/usr/lib/a.so&pin-source=file:/etc/pin")
	f.Add("tpm:device=/dev/tpmrm0")
	f.Add("pkcs11:token=%C3%A4")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := Parse(u.String())
		if len(u.String()) > MaxLength {
			return // escapes are longer than the bytes that they encode
		}
		if err != nil || again.Scheme != u.Scheme || !maps.Equal(again.Path, u.Path) || !maps.Equal(again.Query, u.Query) {
			t.Fatalf("%q is written as %q, which is read as %+v, %v", text, u.String(), again, err)
		}
	})
}
