package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tcerr "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	kms "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/kms/v20190118"

	"strongroom.example/internal/testing/clients"
	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
	"strongroom.example/vault/vaulttest"
)

const (
	secretID  = "AKIDsdk"
	secretKey = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
)

var update = flag.Bool("update", false, "write the columns of the clients that ran into docs/tencent.md")

// The columns of the table in docs/tencent.md, after the name of the operation.
const (
	columnGo = iota
	columnJS
	columnPython
	columnCLI
)

// compare compares the results of a client with its column. With the flag -update it writes the
// column.
func (s *server) compare(t *testing.T, column int) {
	t.Helper()
	table := clients.Table{File: "../../../docs/tencent.md", Update: *update,
		Head: []string{"operation", "SDK for Go", "SDK for JavaScript", "SDK for Python", "`tccli kms`"}}
	for _, op := range tencentkms.Operations() {
		table.Operations = append(table.Operations, op.Action)
	}
	table.Compare(t, column, s.book.Cell)
}

// result returns the operation of a request, and the error code of its response.
func result(r *http.Request, body []byte) (op, code string) {
	var failed struct {
		Response struct{ Error struct{ Code string } }
	}
	json.Unmarshal(body, &failed)
	return r.Header.Get("X-TC-Action"), failed.Response.Error.Code
}

// A server is a vault with the API.
type server struct {
	*clients.Watch // in the same process
	book           *clients.Ledger
	clock          *vaulttest.Clock
}

// newServer serves a new vault.
func newServer(t *testing.T) *server {
	t.Helper()
	// The clients take the time of their requests from the machine.
	v := vaulttest.New(t, func(cfg *vault.Config) { cfg.Clock = vaulttest.NewClock(time.Now().UTC()) })
	h, err := tencentkms.New(v.Vault, tencentkms.Config{Credentials: []tencentkms.Credential{
		{SecretID: secretID, SecretKey: []byte(secretKey), Principal: vault.DefaultOwner},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	book := new(clients.Ledger)
	return &server{&clients.Watch{Next: h.RoundTripper(), Book: book, Result: result}, book, v.Clock}
}

// listen serves over HTTP, and returns the address.
func (s *server) listen(t *testing.T) string {
	t.Helper()
	over := httptest.NewServer(s)
	t.Cleanup(over.Close)
	return strings.TrimPrefix(over.URL, "http://")
}

// A session is a client of the SDK with a vault behind it.
type session struct {
	*kms.Client
	*server
	t *testing.T
}

// newSession returns a session, in the process or over HTTP.
func newSession(t *testing.T, overHTTP bool, configure ...func(*profile.ClientProfile)) *session {
	t.Helper()
	s := newServer(t)
	settings := profile.NewClientProfile()
	if overHTTP {
		settings.HttpProfile.Scheme = "http"
		settings.HttpProfile.Endpoint = s.listen(t)
	}
	for _, f := range configure {
		f(settings)
	}
	client, err := kms.NewClient(common.NewCredential(secretID, secretKey), "ap-guangzhou", settings)
	if err != nil {
		t.Fatal(err)
	}
	if !overHTTP {
		client.WithHttpTransport(s)
	}
	return &session{client, s, t}
}

// must returns the response of a call that succeeds.
func must[P any, R any](s *session, call func(*P) (*R, error), request *P) *R {
	s.t.Helper()
	response, err := call(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return response
}

// refused checks the error code of a call that fails.
func refused[P any, R any](s *session, code string, call func(*P) (*R, error), request *P) {
	s.t.Helper()
	_, err := call(request)
	var e *tcerr.TencentCloudSDKError
	if !errors.As(err, &e) || e.Code != code || e.RequestId == "" {
		s.t.Errorf("%v, not %s", err, code)
	}
}

// common calls an action that is newer than the typed client, and returns its response.
func (s *session) common(action string, parameters map[string]any) map[string]any {
	s.t.Helper()
	request := tchttp.NewCommonRequest("kms", kms.APIVersion, action)
	if err := request.SetActionParameters(parameters); err != nil {
		s.t.Fatal(err)
	}
	response := tchttp.NewCommonResponse()
	if err := s.Send(request, response); err != nil {
		s.t.Fatalf("%s: %v", action, err)
	}
	var envelope map[string]map[string]any
	if err := json.Unmarshal(response.GetBody(), &envelope); err != nil {
		s.t.Fatal(err)
	}
	return envelope["Response"]
}

var text = common.StringPtr

// fill sets the exported fields of a request of the SDK, which its constructor made.
func fill[P any](request *P, set func(*P)) *P {
	set(request)
	return request
}

// encoded returns bytes in base64, as the caller of the SDK encodes them.
func encoded(b []byte) *string { return text(base64.StdEncoding.EncodeToString(b)) }

// decoded returns the bytes of a field in base64.
func (s *session) decoded(field *string) []byte {
	s.t.Helper()
	b, err := base64.StdEncoding.DecodeString(*field)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *session) create(alias, usage string, kind uint64) *string {
	s.t.Helper()
	return must(s, s.CreateKey, fill(kms.NewCreateKeyRequest(), func(r *kms.CreateKeyRequest) {
		r.Alias, r.KeyUsage, r.Type = text(alias), text(usage), &kind
	})).Response.KeyId
}
