package lockedmem

import "strongroom.example/internal/redact"

// redacted keeps what embeds it out of everything that prints.
type redacted = redact.Secret
