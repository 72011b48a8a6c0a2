package testtoken

import (
	"os"
	"reflect"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestTokens checks that two SoftHSM tokens and an NSS token each have files of their
// own.
func TestTokens(t *testing.T) {
	first, second := NewSoftHSM(t), NewSoftHSM(t)
	if first.Label == second.Label || first.Dir == second.Dir {
		t.Errorf("two calls of NewSoftHSM returned one token: %+v, %+v", first, second)
	}
	for _, token := range []PKCS11{first, second, NewNSS(t)} {
		for _, path := range []string{token.Module, token.PINFile, token.Dir} {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", token.Label, err)
			}
		}
		if info, err := os.Stat(token.PINFile); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("PIN file: %v, %v", info.Mode(), err)
		}
	}
}

// TestFromEnvironment reads a token from the separate variables.
func TestFromEnvironment(t *testing.T) {
	t.Setenv("STRONGROOM_TEST_PKCS11_MODULE", "")
	if _, ok := FromEnvironment(t); ok {
		t.Error("FromEnvironment returned a token although no variable is set")
	}
	t.Setenv("STRONGROOM_TEST_PKCS11_MODULE", "/m.so")
	t.Setenv("STRONGROOM_TEST_PKCS11_TOKEN", "label")
	t.Setenv("STRONGROOM_TEST_PKCS11_PIN_FILE", "/pin")
	if token, ok := FromEnvironment(t); !ok || !reflect.DeepEqual(token, PKCS11{Module: "/m.so", Label: "label", PINFile: "/pin"}) {
		t.Errorf("%+v, %v", token, ok)
	}
}

// TestFromURI reads a token from one URI.
func TestFromURI(t *testing.T) {
	for _, name := range []string{"MODULE", "ARGS", "TOKEN", "PIN_FILE"} {
		t.Setenv("STRONGROOM_TEST_PKCS11_"+name, "")
	}
	t.Setenv("STRONGROOM_TEST_PKCS11_URI", "pkcs11:token=label?module-path=/m.so&pin-source=file:/pin&x-args=a%20b")
	if err := setFromURI(); err != nil {
		t.Fatal(err)
	}
	want := PKCS11{Module: "/m.so", Args: "a b", Label: "label", PINFile: "/pin"}
	if token, ok := FromEnvironment(t); !ok || !reflect.DeepEqual(token, want) {
		t.Errorf("FromEnvironment returns %+v, %v, want %+v", token, ok, want)
	}
	t.Setenv("STRONGROOM_TEST_PKCS11_URI", "pkcs11:token=label?module-path=/m.so&pin-source=env:PIN")
	if err := setFromURI(); err == nil {
		t.Error("setFromURI accepted a URI whose PIN is not in a file")
	}
}
