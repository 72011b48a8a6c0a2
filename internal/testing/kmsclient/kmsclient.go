// Package kmsclient is a small client of the Tencent Cloud KMS API, for tests and
// measurements of servers. It signs by TC3-HMAC-SHA256 as the documentation of the service
// describes it.
package kmsclient

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A Client calls one server.
type Client struct {
	HTTP *http.Client
	// URL is that of the server, such as https://127.0.0.1:8443.
	URL string
	// ID and Key sign the requests. Without an ID requests are not signed.
	ID  string
	Key []byte
	// Now is the time of the signatures; nil means time.Now.
	Now func() time.Time
}

// Unix returns a client of a server on a Unix socket, which keeps up to n connections.
func Unix(path string, n int) *Client {
	return &Client{URL: "http://vault", HTTP: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		MaxIdleConnsPerHost: n, DisableCompression: true,
	}}}
}

// An Error is an error of the API.
type Error struct{ Code, Message, RequestID string }

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Request returns a signed request.
func (c *Client) Request(ctx context.Context, action string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	h := r.Header
	h.Set("Content-Type", "application/json")
	h.Set("X-TC-Action", action)
	h.Set("X-TC-Version", "2019-01-18")
	if c.ID == "" {
		return r, nil
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	h.Set("X-TC-Timestamp", fmt.Sprint(now().Unix()))
	c.Sign(r, body, now())
	return r, nil
}

// Sign signs a request with the key of a day.
func (c *Client) Sign(r *http.Request, body []byte, when time.Time) {
	const headers = "content-type;host"
	canonical := fmt.Sprintf("POST\n/\n\ncontent-type:%s\nhost:%s\n\n%s\n%x", strings.ToLower(r.Header.Get("Content-Type")), r.URL.Host, headers, sha256.Sum256(body))
	date := when.UTC().Format(time.DateOnly)
	scope := date + "/kms/tc3_request"
	toSign := fmt.Sprintf("TC3-HMAC-SHA256\n%s\n%s\n%x", r.Header.Get("X-TC-Timestamp"), scope, sha256.Sum256([]byte(canonical)))
	key := append([]byte("TC3"), c.Key...)
	for _, step := range []string{date, "kms", "tc3_request", toSign} {
		m := hmac.New(sha256.New, key)
		io.WriteString(m, step)
		key = m.Sum(nil)
	}
	r.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+c.ID+"/"+scope+", SignedHeaders="+headers+", Signature="+hex.EncodeToString(key))
}

// Call calls an action with parameters, which are encoded as JSON, and decodes the response
// into result unless that is nil. An error of the API is an *Error.
func (c *Client) Call(ctx context.Context, action string, parameters, result any) error {
	body, err := json.Marshal(parameters)
	if err != nil {
		return err
	}
	r, err := c.Request(ctx, action, body)
	if err != nil {
		return err
	}
	return c.Do(r, result)
}

// Do sends a request, and decodes the response into result unless that is nil.
func (c *Client) Do(r *http.Request, result any) error {
	response, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var envelope struct{ Response json.RawMessage }
	var failed struct {
		Error     *Error
		RequestID string `json:"RequestId"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return fmt.Errorf("status %d: %w: %.200q", response.StatusCode, err, text)
	}
	if err := json.Unmarshal(envelope.Response, &failed); err != nil {
		return fmt.Errorf("%w: %.200q", err, text)
	}
	if failed.RequestID == "" {
		return fmt.Errorf("the response has no RequestId: %.200q", text)
	}
	if failed.Error != nil {
		failed.Error.RequestID = failed.RequestID
		return failed.Error
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(envelope.Response, result)
}
