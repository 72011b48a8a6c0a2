// Package redact prevents secrets from being printed.
package redact

import (
	"fmt"
	"io"
	"log/slog"
)

// Text is printed in place of a secret.
const Text = "[REDACTED]"

// A Secret is embedded by a type that holds a secret. Then fmt, log/slog, encoding/json,
// encoding/xml and encoding/gob print Text for a value and for a pointer. An exported
// type embeds it by an unexported alias.
//
// The only verb that Secret cannot handle is %p, which is a mistake on a value; go vet
// reports it.
type Secret struct{}

// Format prints Text under every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, Text) }

// String returns Text.
func (Secret) String() string { return Text }

// GoString returns Text.
func (Secret) GoString() string { return Text }

// LogValue returns Text.
func (Secret) LogValue() slog.Value { return slog.StringValue(Text) }

// MarshalText returns Text. It serves JSON and XML too.
func (Secret) MarshalText() ([]byte, error) { return []byte(Text), nil }

// GobEncode returns Text. There is no decoder.
func (Secret) GobEncode() ([]byte, error) { return []byte(Text), nil }
