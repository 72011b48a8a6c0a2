package audit

import "time"

// A Phase says which part of an operation a record tells.
type Phase string

// The phases. The data plane writes one record for an operation; the control
// plane writes an intent before the device acts and an outcome after.
const (
	Single  Phase = ""
	Intent  Phase = "INTENT"
	Outcome Phase = "OUTCOME"
)

// A Result says how an operation ended. It is empty in an intent.
type Result string

// The results. Refused: the vault said no, by policy or by the key's state.
// Failed: it was allowed, and did not succeed.
const (
	OK      Result = "OK"
	Refused Result = "REFUSED"
	Failed  Result = "FAILED"
)

// A Record is one line of the log. It never holds a plaintext, key, PIN or
// encryption context. Empty fields are left out of its JSON form, but Seq.
//
// The field tags serve reading; the one true form is what Append writes.
type Record struct {
	// Seq is the record's position in the log, from 0.
	Seq uint64 `json:"seq"`
	// Time is the wall clock, in UTC, to the nanosecond, in the years 0 to 9999: Append writes
	// the nearest time in that range.
	Time time.Time `json:"time,omitzero"`
	// BootID (hexadecimal) and Uptime (since that boot) tell what the wall clock
	// cannot, should someone set it.
	BootID string        `json:"boot,omitempty"`
	Uptime time.Duration `json:"uptime,omitempty"`

	Principal string `json:"principal,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Key is the CMK's id, KeyVersion the version used.
	Key        string `json:"key,omitempty"`
	KeyVersion uint32 `json:"key_version,omitempty"`
	Algorithm  string `json:"algorithm,omitempty"`
	// ContextHash is a keyed hash of the encryption context.
	ContextHash []byte `json:"context_hash,omitempty"`
	RequestID   string `json:"request_id,omitempty"`
	Reason      string `json:"reason,omitempty"`

	Phase Phase `json:"phase,omitempty"`
	// Intent is the Seq of the intent that an Outcome settles.
	Intent uint64 `json:"intent,omitempty"`

	// Decision is "ALLOW" or "DENY", and Rule names what decided.
	Decision string `json:"decision,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Result   Result `json:"result,omitempty"`
	// Error is a class of error, never free text.
	Error  string `json:"error,omitempty"`
	Driver string `json:"driver,omitempty"`

	// InputSize and OutputSize are in bytes.
	InputSize  uint64 `json:"input_size,omitempty"`
	OutputSize uint64 `json:"output_size,omitempty"`
	// Count is how many refusals or failures of one kind this record stands for; 0 is one.
	// The other fields are the last one's.
	Count uint64 `json:"count,omitempty"`
	// Detail holds a few small facts that are not secret: an alias, old and new
	// state.
	Detail map[string]string `json:"detail,omitempty"`
}
