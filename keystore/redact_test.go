package keystore_test

import (
	"testing"

	"strongroom.example/internal/testing/redacttest"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestNothingPrintsASecret: types that hold a secret print redacted under every verb and
// encoder.
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
			redacttest.Silent(t, h, []byte(secret))
		}
		return nil
	}))
}
