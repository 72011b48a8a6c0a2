package soft

import (
	"fmt"
	"io"
	"log/slog"
)

const redactedText = "[redacted]"

// redacted is embedded by what holds a secret, so that no way of printing shows it.
type redacted struct{}

// Format writes a fixed text for every verb.
func (redacted) Format(s fmt.State, _ rune) { io.WriteString(s, redactedText) }

// String returns a fixed text.
func (redacted) String() string { return redactedText }

// GoString returns a fixed text.
func (redacted) GoString() string { return redactedText }

// LogValue returns a fixed text.
func (redacted) LogValue() slog.Value { return slog.StringValue(redactedText) }

// MarshalJSON returns a fixed text.
func (redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedText + `"`), nil }
