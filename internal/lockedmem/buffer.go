package lockedmem

import (
	"fmt"
	"io"
	"log/slog"

	"strongroom.example/internal/suite"
)

// A Buffer is a piece of locked memory. It prints redacted under every verb.
type Buffer struct {
	arena *Arena
	slot  []byte // nil once freed
	n     int
}

// Bytes returns the memory itself. It is valid until Free, and nil after that. The
// caller lets nobody keep it longer: later the pages may be unmapped.
func (b *Buffer) Bytes() []byte {
	if b.slot == nil {
		return nil
	}
	return b.slot[:b.n:b.n]
}

// Free wipes the memory and gives it back. Freeing twice is fine, and so is
// freeing nil.
func (b *Buffer) Free() {
	if b == nil {
		return
	}
	b.arena.mu.Lock()
	defer b.arena.mu.Unlock()
	if b.slot == nil {
		return
	}
	suite.Wipe(b.slot)
	class := classOf(len(b.slot))
	b.arena.free[class] = append(b.arena.free[class], b.slot)
	b.arena.live--
	b.slot = nil
}

const redacted = "[REDACTED]"

// Format prints the same word under every verb.
func (b *Buffer) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns the redacted form.
func (b *Buffer) String() string { return redacted }

// GoString returns the redacted form.
func (b *Buffer) GoString() string { return redacted }

// LogValue returns the redacted form.
func (b *Buffer) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns the redacted form.
func (b *Buffer) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
