package keystore

import (
	"fmt"
	"io"
	"log/slog"

	"strongroom.example/internal/redact"
)

// redacted keeps what embeds it out of everything that prints.
type redacted = redact.Secret

// String answers path and version; the value may be a secret.
func (r Record) String() string {
	return fmt.Sprintf("record %q, version %d, %s", r.Path, r.Version, redact.Text)
}

// Format prints String under every verb.
func (r Record) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }

// LogValue answers String.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText answers String.
func (r Record) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// GobEncode answers String, which nothing decodes.
func (r Record) GobEncode() ([]byte, error) { return []byte(r.String()), nil }
