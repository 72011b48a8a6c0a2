package redact_test

import (
	"testing"

	"strongroom.example/internal/redact"
	"strongroom.example/internal/testing/redacttest"
)

type secret = redact.Secret

type holder struct {
	secret
	Key  []byte
	name string
}

type open struct {
	Key  []byte
	name string
}

func TestNothingPrintsASecret(t *testing.T) {
	key := []byte("a secret of exactly 32 bytes !!!")
	name := "a name that nobody may know"
	redacttest.Silent(t, holder{Key: key, name: name}, key, []byte(name))
	redacttest.Silent(t, &holder{Key: key, name: name}, key, []byte(name))
	// The search itself must be able to find the secrets.
	if text := redacttest.Printed(&open{key, name}); !redacttest.Shows(text, key) || !redacttest.Shows(text, []byte(name)) {
		t.Error("the search finds nothing")
	}
}
