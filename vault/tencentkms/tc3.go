package tencentkms

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
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
	algorithm = "TC3-HMAC-SHA256"
	service   = "kms"
	terminal  = "tc3_request"
)

type secret = redact.Secret

// A Credential is a pair of SecretId and SecretKey. It prints redacted.
type Credential struct {
	secret
	// SecretID is public, and every request names it: 1 to 128 bytes of A–Z a–z 0–9 _ and -.
	SecretID string
	// SecretKey signs requests. It has at least 16 bytes.
	SecretKey []byte
	// Principal is the principal as which the requests act.
	Principal vault.Principal
}

// add copies a credential into locked memory. The secret is "TC3" and the secret key, which is
// the first key of the derivation.
func (h *Handler) add(c Credential) error {
	if err := webapi.CheckCredential(c.SecretID, c.SecretKey); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrInvalid, err)
	}
	switch {
	case h.keys.Has(c.SecretID):
		return fmt.Errorf("%w: two credentials have the same SecretID", vault.ErrInvalid)
	case c.Principal == "":
		return fmt.Errorf("%w: the credential names no principal", vault.ErrInvalid)
	}
	if err := h.keys.Add(c.SecretID, "TC3", c.SecretKey, c.Principal); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrLockedMemory, err)
	}
	return nil
}

// An authorization is the parsed header Authorization.
type authorization struct {
	id, date, service, headers string
	signature                  []byte
}

// authenticate verifies the signature of a request by TC3-HMAC-SHA256, and returns the
// principal that signed it.
func (h *Handler) authenticate(r *http.Request, body []byte) (vault.Principal, error) {
	a, err := parseAuthorization(r.Header.Get("Authorization"), r.Host)
	if err != nil {
		return "", err
	}
	stamp := r.Header.Get("X-TC-Timestamp")
	if stamp == "" {
		return "", failure{missingParameter, "The header X-TC-Timestamp is missing."}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return "", failure{invalidParameter, "The header X-TC-Timestamp is not a number of seconds."}
	}
	when := time.Unix(seconds, 0).UTC()
	if d := h.now().Sub(when); d > window || d < -window {
		return "", failure{signatureExpire, fmt.Sprintf("The time of the request differs from that of the vault by more than %v.", window)}
	}
	if r.Header.Get("X-TC-Token") != "" {
		return "", failure{tokenFailure, "The vault issues no temporary credentials; remove the header X-TC-Token."}
	}
	wrong := failure{signatureFailure, "The signature of the request is wrong."}
	if a.date != when.Format(time.DateOnly) {
		return "", wrong
	}
	payload := sha256.Sum256(body)
	for _, host := range signedHosts(r.Host) {
		headers, ok := canonicalHeaders(r, host, a.headers)
		if !ok {
			return "", wrong
		}
		canonical := sha256.Sum256(fmt.Appendf(nil, "%s\n/\n%s\n%s\n%s\n%x", r.Method, r.URL.RawQuery, headers, a.headers, payload))
		toSign := fmt.Appendf(nil, "%s\n%s\n%s/%s/%s\n%x", algorithm, stamp, a.date, a.service, terminal, canonical)
		principal, known, valid := h.keys.Verify(a.id, toSign, a.signature, a.date, a.service, terminal)
		if !known {
			return "", failure{secretIDNotFound, "The vault knows no such SecretId."}
		}
		if valid {
			return principal, nil
		}
	}
	return "", wrong
}

// signedHosts returns the hosts that a client may have signed: the SDK for JavaScript leaves the
// port out.
func signedHosts(host string) []string {
	u := url.URL{Host: host}
	if u.Port() == "" {
		return []string{host}
	}
	return []string{host, strings.TrimSuffix(host, ":"+u.Port())}
}

// parseAuthorization parses a header of the form
//
//	TC3-HMAC-SHA256 Credential=ID/DATE/kms/tc3_request, SignedHeaders=A;B, Signature=HEX
//
// In place of kms it may have what stands before the first dot of the host: the SDK for JavaScript
// takes the name of the service from its endpoint.
func parseAuthorization(header, host string) (a authorization, err error) {
	invalid := failure{invalidAuthorization, "The header Authorization is not one of " + algorithm + " for the service " + service + "."}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok || len(rest) > 1024 {
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
	label, _, _ := strings.Cut(host, ".")
	if len(fields) != 3 || len(scope) != 4 || scope[2] != service && scope[2] != label || scope[3] != terminal {
		return a, invalid
	}
	a.id, a.date, a.service, a.headers = scope[0], scope[1], scope[2], fields["SignedHeaders"]
	if a.signature, err = hex.DecodeString(fields["Signature"]); err != nil || len(a.signature) != sha256.Size {
		return a, invalid
	}
	return a, nil
}

// canonicalHeaders returns the signed headers in canonical form. It returns false unless
// names are in order, and name content-type and host, and the request has each of them once.
func canonicalHeaders(r *http.Request, host, names string) (string, bool) {
	list := strings.Split(names, ";")
	if !slices.IsSorted(list) || !slices.Contains(list, "content-type") || !slices.Contains(list, "host") {
		return "", false
	}
	var out strings.Builder
	for _, name := range list {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{host}
		}
		if len(values) != 1 || name != strings.ToLower(name) {
			return "", false
		}
		fmt.Fprintf(&out, "%s:%s\n", name, strings.ToLower(strings.TrimSpace(values[0])))
	}
	return out.String(), true
}
