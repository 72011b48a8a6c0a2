package audit

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

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
