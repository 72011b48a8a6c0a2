// Package redacttest checks that values print no secret.
package redacttest

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

// Silent fails the test if a holder, its value, or a struct or slice that contains it
// shows a secret in any way that Go prints values. Secrets must have at least ten bytes.
func Silent(t *testing.T, holder any, secrets ...[]byte) {
	t.Helper()
	text := Printed(holder)
	for _, secret := range secrets {
		if Shows(text, secret) {
			t.Errorf("%T prints a secret: %s", holder, text)
		}
	}
}

// Printed returns v in every way that Go prints values. An encoder that returns an error
// adds nothing.
func Printed(v any) string {
	var out bytes.Buffer
	forms := []any{v, []any{v}, struct{ V any }{v}}
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.Elem().Kind() == reflect.Struct {
		fmt.Fprintf(&out, "%p", v)
		forms = append(forms, p.Elem().Interface())
	}
	for _, form := range forms {
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %T %b %o %c %U %t") {
			fmt.Fprintf(&out, verb+"\n", form)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", form)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", form)
		text, _ := json.Marshal(form)
		out.Write(text)
		text, _ = xml.Marshal(form)
		out.Write(text)
		encoded(&out, form)
	}
	return out.String()
}

// encoded writes v as gob. It recovers from the panic of types that gob cannot encode.
func encoded(out *bytes.Buffer, v any) {
	defer func() { recover() }()
	gob.NewEncoder(out).Encode(v)
}

// Shows reports whether text contains a secret in binary, hexadecimal, decimal or base64.
func Shows(text string, secret []byte) bool {
	b64, _ := json.Marshal(secret)
	for _, form := range []string{string(secret), hex.EncodeToString(secret), string(b64[1:13]),
		strings.Trim(fmt.Sprint(secret[:8]), "[]"), strings.TrimSuffix(fmt.Sprintf("%#v", secret[:8]), "}")[7:]} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			return true
		}
	}
	return false
}
