package awskms

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom.example/internal/redact"
	"strongroom.example/vault"
	"strongroom.example/vault/internal/webapi"
)

// window is the greatest difference between the time of a request and that of the handler.
const window = 5 * time.Minute

const (
	algorithm  = "AWS4-HMAC-SHA256"
	service    = "kms"
	terminal   = "aws4_request"
	timeFormat = "20060102T150405Z"
)

type secret = redact.Secret

// A Credential is a pair of access key id and secret access key. It prints redacted.
type Credential struct {
	secret
	// AccessKeyID is public, and every request names it: 1 to 128 bytes of A–Z a–z 0–9 _
	// and -.
	AccessKeyID string
	// SecretAccessKey signs requests. It has at least 16 bytes.
	SecretAccessKey []byte
	// Principal is the principal as which the requests act.
	Principal vault.Principal
}

// add copies a credential into locked memory.
func (h *Handler) add(c Credential) error {
	if err := webapi.CheckCredential(c.AccessKeyID, c.SecretAccessKey); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrInvalid, err)
	}
	switch {
	case h.keys.Has(c.AccessKeyID):
		return fmt.Errorf("%w: two credentials have the same AccessKeyID", vault.ErrInvalid)
	case c.Principal == "":
		return fmt.Errorf("%w: the credential names no principal", vault.ErrInvalid)
	}
	if err := h.keys.Add(c.AccessKeyID, "AWS4", c.SecretAccessKey, c.Principal); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrLockedMemory, err)
	}
	return nil
}

// An authorization is the parsed header Authorization.
type authorization struct {
	id, date, region, service string
	headers                   []string
	signature                 []byte
}

// scope returns the credential scope, which the signature covers.
func (a authorization) scope() string {
	return strings.Join([]string{a.date, a.region, a.service, terminal}, "/")
}

// authenticate verifies the signature of a request, and returns the principal that signed it.
func (h *Handler) authenticate(r *http.Request, body []byte) (vault.Principal, error) {
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return "", err
	}
	if r.Header.Get("X-Amz-Security-Token") != "" {
		return "", failure{unrecognizedClient, "The security token included in the request is invalid: the vault issues no temporary credentials."}
	}
	when, err := requestTime(r.Header)
	if err != nil {
		return "", err
	}
	if err := h.checkScope(a, when); err != nil {
		return "", err
	}
	if err := checkSigned(r.Header, a.headers); err != nil {
		return "", err
	}
	principal, known, valid := h.keys.Verify(a.id, stringToSign(r, body, a, when), a.signature, a.date, a.region, a.service, terminal)
	if !known {
		return "", failure{unrecognizedClient, "The security token included in the request is invalid: the vault knows no such access key."}
	}
	if !valid {
		return "", failure{invalidSignature, "The request signature we calculated does not match the signature you provided."}
	}
	return principal, nil
}

// requestTime returns the time of a request: that of X-Amz-Date or, without it, that of Date.
func requestTime(header http.Header) (time.Time, error) {
	text := header.Get("X-Amz-Date")
	when, err := time.Parse(timeFormat, text)
	if text == "" {
		when, err = http.ParseTime(header.Get("Date"))
	}
	if err != nil {
		return when, failure{incompleteSignature, "Date must be in ISO-8601 'basic format', in the header X-Amz-Date."}
	}
	return when.UTC(), nil
}

// checkScope refuses a request that was signed at another time, or for another service.
func (h *Handler) checkScope(a authorization, when time.Time) error {
	now := h.now().UTC()
	switch d := now.Sub(when); {
	case d > window:
		return failure{invalidSignature, fmt.Sprintf("Signature expired: %s is more than five minutes before %s.", when.Format(timeFormat), now.Format(timeFormat))}
	case d < -window:
		return failure{invalidSignature, fmt.Sprintf("Signature not yet current: %s is more than five minutes after %s.", when.Format(timeFormat), now.Format(timeFormat))}
	case a.date != when.Format("20060102"):
		return failure{invalidSignature, "Date in Credential scope does not match the date of the request."}
	case a.service != service:
		return failure{invalidSignature, "Credential should be scoped to correct service: 'kms'."}
	case a.region != h.region:
		return failure{invalidSignature, fmt.Sprintf("Credential should be scoped to a valid region, which is '%s'.", h.region)}
	}
	return nil
}

// checkSigned refuses a request unless the host, the time, the operation and every other header
// of AWS is signed.
func checkSigned(header http.Header, signed []string) error {
	must := []string{"host"}
	if header.Get("X-Amz-Date") == "" {
		must = append(must, "date")
	}
	for name := range header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			must = append(must, name)
		}
	}
	for _, name := range must {
		if !slices.Contains(signed, name) {
			return failure{invalidSignature, fmt.Sprintf("'%.64s' must be a signed header.", name)}
		}
	}
	return nil
}

// parseAuthorization parses a header of the form
//
//	AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=A;B, Signature=HEX
func parseAuthorization(header string) (a authorization, err error) {
	if header == "" {
		return a, failure{missingAuthenticationToken, "Missing Authentication Token: the request has no header Authorization."}
	}
	invalid := failure{incompleteSignature, "The header Authorization is not one of " + algorithm + " with Credential, SignedHeaders and Signature."}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok || len(rest) > 4096 {
		return a, invalid
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, double := fields[name]; !ok || double {
			return a, invalid
		}
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(fields) != 3 || len(scope) != 5 || scope[4] != terminal {
		return a, invalid
	}
	a.id, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
	a.headers = strings.Split(fields["SignedHeaders"], ";")
	if !slices.IsSorted(a.headers) || len(slices.Compact(slices.Clone(a.headers))) != len(a.headers) {
		return a, invalid
	}
	if a.signature, err = hex.DecodeString(fields["Signature"]); err != nil || len(a.signature) != sha256.Size {
		return a, invalid
	}
	return a, nil
}

// stringToSign returns what a signature of the request is made of.
func stringToSign(r *http.Request, body []byte, a authorization, when time.Time) []byte {
	canonical := sha256.Sum256(canonicalRequest(r, body, a.headers))
	return fmt.Appendf(nil, "%s\n%s\n%s\n%x", algorithm, when.Format(timeFormat), a.scope(), canonical)
}

// canonicalRequest returns the canonical form of a request, with the given headers.
func canonicalRequest(r *http.Request, body []byte, signed []string) []byte {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	out := fmt.Appendf(nil, "%s\n%s\n%s\n", r.Method, canonicalPath(path), canonicalQuery(query))
	for _, name := range signed {
		out = fmt.Appendf(out, "%s:%s\n", name, canonicalHeader(r, name))
	}
	return fmt.Appendf(out, "\n%s\n%x", strings.Join(signed, ";"), sha256.Sum256(body))
}

// canonicalHeader returns the values of a header, without the spaces around them, and with one
// space for several.
func canonicalHeader(r *http.Request, name string) string {
	values := r.Header.Values(name)
	switch {
	case name == "host":
		values = []string{r.Host}
	case name == "content-length" && len(values) == 0: // of a request in the same process
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(trimmed, ",")
}
