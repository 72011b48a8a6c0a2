package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

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

// A Filter selects records. The zero value selects all records; each field that is set
// must match.
type Filter struct {
	// From is inclusive, To is exclusive.
	From, To                  time.Time
	Principal, Operation, Key string
	Result                    Result
}

// Match reports whether the filter selects r.
func (f Filter) Match(r Record) bool {
	return (f.From.IsZero() || !r.Time.Before(f.From)) &&
		(f.To.IsZero() || r.Time.Before(f.To)) &&
		(f.Principal == "" || f.Principal == r.Principal) &&
		(f.Operation == "" || f.Operation == r.Operation) &&
		(f.Key == "" || f.Key == r.Key) &&
		(f.Result == "" || f.Result == r.Result)
}

// Append appends the record's canonical form to dst: one JSON object without spaces, with
// the fields in the order of Record and empty fields omitted. These bytes are the
// record's leaf in the tree.
//
// A byte that is not valid UTF-8 is replaced by U+FFFD, and a time outside the years 0 to
// 9999 by the nearest time inside, so that every Record has a form that ParseRecord
// accepts.
func (r Record) Append(dst []byte) []byte {
	if n := r.sizeHint(); cap(dst)-len(dst) < n {
		dst = append(make([]byte, 0, len(dst)+n), dst...)
	}
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendUint(dst, r.Seq, 10)
	dst = appendTime(dst, r.Time)
	dst = appendText(dst, `,"boot":`, r.BootID)
	if r.Uptime != 0 {
		dst = append(dst, `,"uptime":`...)
		dst = strconv.AppendInt(dst, int64(r.Uptime), 10)
	}
	dst = appendText(dst, `,"principal":`, r.Principal)
	dst = appendText(dst, `,"operation":`, r.Operation)
	dst = appendText(dst, `,"key":`, r.Key)
	dst = appendNumber(dst, `,"key_version":`, uint64(r.KeyVersion))
	dst = appendText(dst, `,"algorithm":`, r.Algorithm)
	dst = appendBytes(dst, `,"context_hash":`, r.ContextHash)
	dst = appendText(dst, `,"request_id":`, r.RequestID)
	dst = appendText(dst, `,"reason":`, r.Reason)
	dst = r.appendOutcome(dst)
	dst = appendDetail(dst, r.Detail)
	return append(dst, '}')
}

// appendOutcome appends the fields from phase to count.
func (r *Record) appendOutcome(dst []byte) []byte {
	dst = appendText(dst, `,"phase":`, string(r.Phase))
	if r.Phase == Outcome && r.Intent == 0 {
		dst = append(dst, `,"intent":0`...)
	}
	dst = appendNumber(dst, `,"intent":`, r.Intent)
	dst = appendText(dst, `,"decision":`, r.Decision)
	dst = appendText(dst, `,"rule":`, r.Rule)
	dst = appendText(dst, `,"result":`, string(r.Result))
	dst = appendText(dst, `,"error":`, r.Error)
	dst = appendText(dst, `,"driver":`, r.Driver)
	dst = appendNumber(dst, `,"input_size":`, r.InputSize)
	dst = appendNumber(dst, `,"output_size":`, r.OutputSize)
	return appendNumber(dst, `,"count":`, r.Count)
}

// sizeHint returns a size sufficient for a record without escapes, so that Append
// allocates once.
func (r *Record) sizeHint() int {
	n := 576 + len(r.BootID) + len(r.Principal) + len(r.Operation) + len(r.Key) + len(r.Algorithm) +
		2*len(r.ContextHash) + len(r.RequestID) + len(r.Reason) + len(r.Decision) + len(r.Rule) +
		len(r.Result) + len(r.Error) + len(r.Driver)
	for k, v := range r.Detail {
		n += len(k) + len(v) + 6
	}
	return n
}

func appendText(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(append(dst, name...), s)
}

func appendNumber(dst []byte, name string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, name...), n, 10)
}

func appendBytes(dst []byte, name string, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	dst = append(append(dst, name...), '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

var firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)

// appendTime appends the time as in RFC 3339, with nine digits for the fraction of a
// second.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	switch t = t.UTC(); {
	case t.Before(firstTime):
		t = firstTime
	case t.After(lastTime):
		t = lastTime
	}
	dst = append(dst, `,"time":"`...)
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), t.Nanosecond(), 9)
	return append(dst, 'Z', '"')
}

func appendDigits(dst []byte, n, width int) []byte {
	var digits [9]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, digits[:width]...)
}

// appendDetail appends the pairs in the byte order of their names.
func appendDetail(dst []byte, detail map[string]string) []byte {
	if len(detail) == 0 {
		return dst
	}
	var few [8]string
	names := slices.AppendSeq(few[:0], maps.Keys(detail))
	slices.Sort(names)
	if !slices.ContainsFunc(names, notUTF8) {
		return appendPairs(dst, names, detail)
	}
	// The replacement may make two names equal. The first one keeps its value.
	clean := make(map[string]string, len(detail))
	for _, name := range names {
		valid := string([]rune(name))
		if _, taken := clean[valid]; !taken {
			clean[valid] = detail[name]
		}
	}
	return appendPairs(dst, slices.Sorted(maps.Keys(clean)), clean)
}

func notUTF8(s string) bool { return !utf8.ValidString(s) }

func appendPairs(dst []byte, names []string, detail map[string]string) []byte {
	dst = append(dst, `,"detail":`...)
	lead := byte('{')
	for _, name := range names {
		dst = appendString(append(dst, lead), name)
		dst = appendString(append(dst, ':'), detail[name])
		lead = ','
	}
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string with the minimal escapes: the quote, the
// backslash and the control characters (RFC 8785, section 3.2.2.2). A byte that is not
// valid UTF-8 is replaced by U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if _, n := utf8.DecodeRuneInString(s[i:]); n > 1 {
				i += n
				continue
			}
		}
		dst = appendEscape(append(dst, s[start:i]...), c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c >= utf8.RuneSelf {
		return utf8.AppendRune(dst, utf8.RuneError)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// ParseRecord parses a leaf. It accepts only the output of Append: another field order, a
// space, or an unknown, empty or repeated field is ErrRecord. Every record therefore has
// exactly one encoding, and equal records have equal leaves.
func ParseRecord(leaf []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(leaf, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if !bytes.Equal(r.Append(make([]byte, 0, len(leaf)+576)), leaf) {
		return Record{}, fmt.Errorf("%w: not in its one form", ErrRecord)
	}
	return r, nil
}
