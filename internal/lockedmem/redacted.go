package lockedmem

import (
	"fmt"
	"io"
	"log/slog"
)

const redactedText = "[REDACTED]"

// redacted is embedded by what holds secrets, so that no way of printing shows them,
// of a pointer or of a value.
type redacted struct{}

// Format prints the same word under every verb.
func (redacted) Format(f fmt.State, _ rune) { io.WriteString(f, redactedText) }

// String returns the redacted form.
func (redacted) String() string { return redactedText }

// GoString returns the redacted form.
func (redacted) GoString() string { return redactedText }

// LogValue returns the redacted form.
func (redacted) LogValue() slog.Value { return slog.StringValue(redactedText) }

// MarshalText returns the redacted form, to JSON and XML too.
func (redacted) MarshalText() ([]byte, error) { return []byte(redactedText), nil }
