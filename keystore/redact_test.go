package keystore_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// Nothing that holds a secret prints it, whatever prints it.
func TestNothingPrintsASecret(t *testing.T) {
	const secret = "TellNobodyTellNobodyTellNobody!!"
	s := create(t, config(t, storetest.NewMemory()))
	defer checked(t, s)
	holders := []any{
		keystore.Config{Root: []byte(secret)}, &keystore.Config{Root: []byte(secret)},
		keystore.Rekeying{Root: []byte(secret)}, keystore.Record{Path: "p", Value: []byte(secret)}, s,
	}
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		tx.PutMaterial("m", []byte(secret))
		for _, h := range append(holders, tx) {
			silent(t, h, secret)
		}
		return nil
	}))
}

func silent(t *testing.T, holder any, secret string) {
	t.Helper()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", holder)
		fmt.Fprintf(&out, verb+"\n", []any{holder})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("it", "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("it", "holder", holder)
	js, err := json.Marshal(map[string]any{"holder": holder})
	if err != nil {
		t.Error(err)
	}
	out.Write(js)
	text := out.String()
	for _, form := range []string{
		secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]"), "VGVsbE5vYm9keV",
	} {
		if strings.Contains(text, form) {
			t.Errorf("%T prints its secret", holder)
		}
	}
	if !strings.Contains(text, "REDACTED") {
		t.Errorf("%T is not redacted", holder)
	}
}
