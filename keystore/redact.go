package keystore

import (
	"fmt"
	"io"
	"log/slog"

	"strongroom.example/internal/redact"
)

// redacted, when embedded, keeps a type from printing its contents.
type redacted = redact.Secret

// String returns the path and version. It omits the value, which may be a secret.
func (r Record) String() string {
	return fmt.Sprintf("record %q, version %d, %s", r.Path, r.Version, redact.Text)
}

// Format prints String under every verb.
func (r Record) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }

// LogValue returns String.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText returns String.
func (r Record) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// GobEncode returns String, which no decoder accepts.
func (r Record) GobEncode() ([]byte, error) { return []byte(r.String()), nil }
