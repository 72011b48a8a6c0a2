package suite

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[REDACTED]"

// Format prints the same word under every verb: a cipher state is a secret.
func (a *AEAD) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns the redacted form.
func (a *AEAD) String() string { return redacted }

// GoString returns the redacted form.
func (a *AEAD) GoString() string { return redacted }

// LogValue returns the redacted form.
func (a *AEAD) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns the redacted form.
func (a *AEAD) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
