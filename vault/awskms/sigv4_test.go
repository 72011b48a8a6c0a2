package awskms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"strongroom.example/vault/internal/webapi"
)

// vectors are the published vectors of AWS Signature Version 4.
type vectors struct {
	SecretAccessKey string
	Vectors         []struct{ Name, Request, Canonical, StringToSign, Signature string }
}

// parseVector reads a request. Some vectors have characters in the path that net/http refuses.
func parseVector(t *testing.T, text string) (*http.Request, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	r := &http.Request{Method: method, RequestURI: strings.TrimSuffix(rest, " HTTP/1.1"), Header: make(http.Header)}
	name := ""
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, " ") { // a folded value (RFC 7230, 3.2.4)
			values := r.Header[name]
			values[len(values)-1] += " " + line
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("no header: %q", line)
		}
		name = textproto.CanonicalMIMEHeaderKey(key)
		r.Header[name] = append(r.Header[name], value)
	}
	r.Host = strings.TrimSpace(r.Header.Get("Host"))
	return r, []byte(body)
}

// TestPublishedVectors compares every step of the signature with the vectors of the service,
// and verifies the result.
func TestPublishedVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/sigv4.json")
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(text, &all); err != nil || len(all.Vectors) < 20 {
		t.Fatalf("%d vectors, %v", len(all.Vectors), err)
	}
	keys := webapi.NewKeyring[string]()
	defer keys.Close()
	if err := keys.Add("AKIDEXAMPLE", "AWS4", []byte(all.SecretAccessKey), "alice"); err != nil {
		t.Fatal(err)
	}
	for _, v := range all.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			r, body := parseVector(t, v.Request)
			a, err := parseAuthorization(strings.TrimSpace(r.Header.Get("Authorization")))
			if err != nil {
				t.Fatal(err)
			}
			when, err := requestTime(trimmed(r.Header))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(canonicalRequest(r, body, a.headers)); got != v.Canonical {
				t.Errorf("canonical request:\n%s\nnot\n%s", got, v.Canonical)
			}
			toSign := stringToSign(r, body, a, when)
			if string(toSign) != v.StringToSign || fmt.Sprintf("%x", a.signature) != v.Signature {
				t.Errorf("string to sign:\n%s\nnot\n%s", toSign, v.StringToSign)
			}
			if p, known, valid := keys.Verify(a.id, toSign, a.signature, a.date, a.region, a.service, terminal); p != "alice" || !known || !valid {
				t.Errorf("the signature is not accepted: %q %v %v", p, known, valid)
			}
			a.signature[0] ^= 1
			if _, _, valid := keys.Verify(a.id, toSign, a.signature, a.date, a.region, a.service, terminal); valid {
				t.Error("another signature is accepted")
			}
		})
	}
}

// trimmed returns headers without the spaces around values, which net/http removes.
func trimmed(h http.Header) http.Header {
	h = h.Clone()
	for _, values := range h {
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
	}
	return h
}

// FuzzAuthorization parses headers, and formats again what is accepted.
func FuzzAuthorization(f *testing.F) {
	hash := strings.Repeat("0a", 32)
	f.Add("AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + hash)
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/kms/aws4_request,Credential=,Signature=")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			return
		}
		again, err := parseAuthorization(fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", a.id, a.scope(), strings.Join(a.headers, ";"), a.signature))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(a) {
			t.Errorf("%q: %+v, then %+v %v", header, a, again, err)
		}
	})
}

// FuzzCanonical makes the canonical form of any request. It is one line for each part, and does
// not change when it is made of itself.
func FuzzCanonical(f *testing.F) {
	f.Add("/a/../b//c/?x=%20&y", "v  w")
	f.Add("//%zz?&&==&\x00", "\r\n")
	f.Fuzz(func(t *testing.T, uri, value string) {
		r := &http.Request{Method: "POST", RequestURI: uri, Host: "h", Header: http.Header{"X-Amz-Date": {value}}}
		got := canonicalRequest(r, nil, []string{"host", "x-amz-date"})
		if lines := bytes.Count(got, []byte("\n")); lines != 7 {
			t.Errorf("%q has %d lines", got, lines+1)
		}
		_, query, _ := strings.Cut(uri, "?")
		if once := canonicalQuery(query); canonicalQuery(once) != once {
			t.Errorf("%q becomes %q, then %q", query, once, canonicalQuery(once))
		}
	})
}

// FuzzEpoch reads times, and writes those that it accepts.
func FuzzEpoch(f *testing.F) {
	f.Add("1.7e9")
	f.Add("1767225600.123")
	f.Add(`"2026-01-01"`)
	f.Fuzz(func(t *testing.T, text string) {
		var e, again epoch
		if json.Unmarshal([]byte(text), &e) != nil || e.Time.Equal(time.Time{}) {
			return
		}
		out, err := json.Marshal(e)
		if err != nil || json.Unmarshal(out, &again) != nil || !again.Equal(e.Time) {
			t.Errorf("%s becomes %s %v", text, out, err)
		}
	})
}
