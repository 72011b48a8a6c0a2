package lockedmem

import "strongroom.example/internal/redact"

// redacted makes every type that embeds it print redacted.
type redacted = redact.Secret
