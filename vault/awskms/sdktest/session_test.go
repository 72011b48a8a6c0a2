package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"strongroom.example/internal/testing/clients"
	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
	"strongroom.example/vault/vaulttest"
)

const (
	region      = "eu-test-1"
	account     = "111122223333"
	accessKeyID = "AKIASDKTEST"
	secretKey   = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// result returns the operation of a request, and the error code of its response.
func result(r *http.Request, body []byte) (op, code string) {
	var failed struct {
		Type string `json:"__type"`
	}
	json.Unmarshal(body, &failed)
	return strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService."), failed.Type
}

// A server is a vault with the API.
type server struct {
	book  *clients.Ledger
	clock *vaulttest.Clock
	local http.RoundTripper // in the same process
	url   string            // over HTTP
}

// newServer serves a new vault.
func newServer(t *testing.T) *server {
	t.Helper()
	// The clients take the time of their requests from the machine.
	v := vaulttest.New(t, func(cfg *vault.Config) { cfg.Clock = vaulttest.NewClock(time.Now().UTC()) })
	h, err := awskms.New(v.Vault, awskms.Config{Region: region, Account: account, Credentials: []awskms.Credential{
		{AccessKeyID: accessKeyID, SecretAccessKey: []byte(secretKey), Principal: vault.DefaultOwner},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := &clients.Watch{Next: h.RoundTripper(), Book: new(clients.Ledger), Result: result}
	s := httptest.NewServer(w)
	t.Cleanup(func() {
		s.Close()
		h.Close()
	})
	return &server{w.Book, v.Clock, w, s.URL}
}

// A session is a client of the SDK with a vault behind it.
type session struct {
	*kms.Client
	*server
	t *testing.T
}

// newSession returns a session, in the process or over HTTP.
func newSession(t *testing.T, overHTTP bool) *session {
	t.Helper()
	s := newServer(t)
	client := kms.New(kms.Options{
		Region: region, Credentials: credentials.NewStaticCredentialsProvider(accessKeyID, secretKey, ""),
		BaseEndpoint: aws.String(s.url), HTTPClient: &http.Client{Transport: s.local},
	}, func(o *kms.Options) {
		if overHTTP {
			o.HTTPClient = http.DefaultClient
		}
	})
	return &session{client, s, t}
}

// must returns the result of a call that succeeds.
func must[P any, R any](s *session, call func(context.Context, *P, ...func(*kms.Options)) (*R, error), in *P) *R {
	s.t.Helper()
	out, err := call(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// refused checks the type of the error of a call that fails.
func refused[E error, P any, R any](s *session, call func(context.Context, *P, ...func(*kms.Options)) (*R, error), in *P) {
	s.t.Helper()
	_, err := call(s.t.Context(), in)
	var want E
	if !errors.As(err, &want) {
		s.t.Errorf("%v, not %T", err, want)
	}
}

// create makes a CMK, and returns its id.
func (s *session) create(in *kms.CreateKeyInput) *string {
	s.t.Helper()
	return must(s, s.CreateKey, in).KeyMetadata.KeyId
}
