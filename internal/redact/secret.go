// Package redact keeps secrets out of everything that prints.
package redact

import (
	"fmt"
	"io"
	"log/slog"
)

// Text is what is printed instead.
const Text = "[REDACTED]"

// A Secret is embedded by a type that holds a secret, so that neither fmt, log/slog,
// encoding/json, encoding/xml nor encoding/gob shows it, of a value or of a pointer. Embed it by
// an alias with a small initial where the type is exported.
//
// The one verb that never asks is %p, a mistake on a value, which go vet finds.
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

// GobEncode returns Text, which nothing decodes.
func (Secret) GobEncode() ([]byte, error) { return []byte(Text), nil }
