package keystore

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[REDACTED]"

// Format prints nothing of the configuration, under any verb: it holds the root.
func (c Config) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue answers the redacted form.
func (c Config) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON answers the redacted form.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// Format prints nothing of it, under any verb: it holds the root.
func (r Rekeying) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue answers the redacted form.
func (r Rekeying) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON answers the redacted form.
func (r Rekeying) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// String answers path and version; the value may be a secret.
func (r Record) String() string {
	return fmt.Sprintf("record %q, version %d, %s", r.Path, r.Version, redacted)
}

// Format prints String under every verb.
func (r Record) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }

// LogValue answers String.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON answers String.
func (r Record) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// Format prints nothing of the store, under any verb.
func (s *Store) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue answers the redacted form.
func (s *Store) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON answers the redacted form.
func (s *Store) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// Format prints nothing of the operation, under any verb: it holds values.
func (t *Tx) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue answers the redacted form.
func (t *Tx) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON answers the redacted form.
func (t *Tx) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

func (k *keyring) Format(f fmt.State, _ rune)  { io.WriteString(f, redacted) }
func (k *rootKeys) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }
func (c change) Format(f fmt.State, _ rune)    { io.WriteString(f, redacted) }
func (g *group) Format(f fmt.State, _ rune)    { io.WriteString(f, redacted) }
func (s *sealer) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
