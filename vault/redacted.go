package vault

import "strongroom.example/internal/redact"

// redacted makes a struct that embeds it print redacted.
type redacted = redact.Secret
