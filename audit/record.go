package audit

import "time"

// A Phase is the part of an operation that a record describes.
type Phase string

// The phases. The data plane writes one record for each operation. The control plane
// writes an intent before the device acts, and an outcome after.
const (
	Single  Phase = ""
	Intent  Phase = "INTENT"
	Outcome Phase = "OUTCOME"
)

// A Result is the result of an operation. It is empty in an intent.
type Result string

// The results. Refused: the policy or the state of the key did not allow the operation.
// Failed: the operation was allowed, but did not succeed.
const (
	OK      Result = "OK"
	Refused Result = "REFUSED"
	Failed  Result = "FAILED"
)

// A Record is one record of the log. It never contains a plaintext, key, PIN or
// encryption context. Its JSON form omits empty fields other than Seq.
//
// The field tags are for decoding only; Append defines the encoding.
type Record struct {
	// Seq is the record's position in the log, from 0.
	Seq uint64 `json:"seq"`
	// Time is the wall clock time in UTC, in nanoseconds. Append replaces a time outside
	// the years 0 to 9999 by the nearest time inside.
	Time time.Time `json:"time,omitzero"`
	// BootID (hexadecimal) and Uptime (since that boot) keep the order of records evident
	// if the wall clock is set.
	BootID string        `json:"boot,omitempty"`
	Uptime time.Duration `json:"uptime,omitempty"`

	Principal string `json:"principal,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Key is the CMK's id, KeyVersion the version that was used.
	Key        string `json:"key,omitempty"`
	KeyVersion uint32 `json:"key_version,omitempty"`
	Algorithm  string `json:"algorithm,omitempty"`
	// ContextHash is a keyed hash of the encryption context.
	ContextHash []byte `json:"context_hash,omitempty"`
	RequestID   string `json:"request_id,omitempty"`
	Reason      string `json:"reason,omitempty"`

	Phase Phase `json:"phase,omitempty"`
	// Intent is the Seq of the intent to which an Outcome belongs.
	Intent uint64 `json:"intent,omitempty"`

	// Decision is "ALLOW" or "DENY", and Rule is the name of the rule that decided.
	Decision string `json:"decision,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Result   Result `json:"result,omitempty"`
	// Error is an error class, never free text.
	Error  string `json:"error,omitempty"`
	Driver string `json:"driver,omitempty"`

	// InputSize and OutputSize are in bytes.
	InputSize  uint64 `json:"input_size,omitempty"`
	OutputSize uint64 `json:"output_size,omitempty"`
	// Count is the number of refusals or failures of one kind that this record
	// represents; 0 means 1. The other fields are those of the last one.
	Count uint64 `json:"count,omitempty"`
	// Detail has additional facts, none of them secret, such as an alias, or the old and
	// new state.
	Detail map[string]string `json:"detail,omitempty"`
}
