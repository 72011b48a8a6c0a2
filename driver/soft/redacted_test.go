package soft_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

func TestNothingPrintsASecret(t *testing.T) {
	secret := []byte("a secret of exactly 32 bytes !!!")
	d := newDriver(t, soft.Config{Key: secret})
	code := newCode(t)
	cfg := soft.Config{Key: secret}
	for _, v := range []any{
		cfg, &cfg, d, light.Passphrase(secret), code, *code,
		importKey(t, d, prfSpec, secret),
		importKey(t, d, driver.KeySpec{Algorithm: driver.Ed25519, Usage: driver.Sign}, ed25519PKCS8(secret)),
	} {
		if text := printed(t, v); holds(text, secret) || holds(text, code.AppendCode(nil)) {
			t.Errorf("%T prints %s", v, text)
		}
	}
	// The check itself must be able to find it.
	if !holds(printed(t, struct{ K []byte }{secret}), secret) {
		t.Error("the search finds nothing")
	}
}

// printed is v in every way that Go prints values.
func printed(t *testing.T, v any) string {
	var out bytes.Buffer
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %T %b %o %c %U %t") {
		fmt.Fprintf(&out, verb+"\n", v)
	}
	// fmt asks no Formatter for %p; it is an error on values, which vet finds.
	if reflect.TypeOf(v).Kind() == reflect.Pointer {
		fmt.Fprintf(&out, "%p", v)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	text, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	out.Write(text)
	return out.String()
}

// holds looks for a secret as text, hexadecimal, decimal and base 64.
func holds(text string, secret []byte) bool {
	b64, _ := json.Marshal(secret)
	for _, form := range []string{string(secret), hex.EncodeToString(secret), string(b64[1:20]),
		strings.Trim(fmt.Sprint(secret[:8]), "[]"), strings.TrimSuffix(fmt.Sprintf("%#v", secret[:8]), "}")[7:]} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

// ed25519PKCS8 is RFC 8410's encoding of a seed.
func ed25519PKCS8(seed []byte) []byte {
	return append([]byte{0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20}, seed...)
}
