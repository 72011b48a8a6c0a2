// Package tencentkms serves a vault through the API of Tencent Cloud KMS, version 2019-01-18,
// so that programs which use that service through its SDKs can use a vault instead.
//
// New returns an http.Handler. In the same process, Handler.RoundTripper replaces the network:
//
//	h, err := tencentkms.New(v, tencentkms.Config{Credentials: credentials})
//	client.WithHttpTransport(h.RoundTripper())
//
// Every request must have a TC3-HMAC-SHA256 signature by one of the credentials, and acts as
// the principal of that credential, unless Config.Principal knows it by its connection.
// Operations lists what is served; the rest of the API is refused with an error code that the
// service documents. Every response, also one with an error, has the HTTP status 200, as those
// of the service have.
//
// The signature does not encrypt: outside one process, serve the handler over TLS. It covers
// the body, but the action only if the client signs the header x-tc-action. A request can be
// repeated within five minutes, as with the service.
//
// # Secrets
//
// The handler holds secret keys in locked memory. It wipes the body of a request, the
// plaintext in it, and the response once it is written. It cannot wipe the copies in the
// buffers of net/http and of the TLS connection. It refuses a plaintext in a URL. With
// EncryptionPublicKey a plaintext leaves the vault encrypted only.
package tencentkms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"strongroom.example/internal/suite"
	"strongroom.example/vault"
	"strongroom.example/vault/internal/webapi"
)

// Version is the version of the API, which every request names in X-TC-Version.
const Version = "2019-01-18"

// MaxBody is the maximum length of a request's body in bytes. The longest request of the API
// is much shorter.
const MaxBody = 128 << 10

// Config configures a Handler.
type Config struct {
	// Credentials are those by which requests are signed. At least one is needed, unless
	// Principal is set.
	Credentials []Credential
	// Principal returns the principal of a request whose connection proves it, such as one on
	// a Unix socket. The signature of such a request is not read. A request for which it
	// returns false needs a signature. nil means that every request needs one.
	Principal func(*http.Request) (vault.Principal, bool)
	// Region is the name that GetRegions returns. Empty means "local". Requests may name any
	// region.
	Region string
	// Now returns the time of day, with which the time of a request is compared. nil means
	// time.Now; if the vault has a Config.Clock, use its method Now.
	Now func() time.Time
	// Logger receives the causes of responses with InternalError and ServiceTemporaryUnavailable,
	// with the request's id, because those responses do not name the cause. nil means none.
	Logger *slog.Logger
	// Observe is called with the result of each request before the response is written. nil
	// means that results are not observed.
	Observe func(Result)
}

// A Result says how a request ended. It holds no secret.
type Result struct {
	// RequestID is that of the response and of the audit record.
	RequestID string
	// Action is the action of the request, empty if the API has no such action.
	Action string
	// Principal is empty if the request is not authenticated.
	Principal vault.Principal
	// Code is the error code of the response, empty for a success.
	Code string
	// Duration is the time from the end of the request's header to the result.
	Duration time.Duration
}

// A Handler serves the API. It is safe for concurrent use, and prints redacted.
type Handler struct {
	secret
	vault  *vault.Vault
	region string
	now    func() time.Time
	logger *slog.Logger
	keys   *webapi.Keyring[vault.Principal]

	principal func(*http.Request) (vault.Principal, bool)
	observe   func(Result)
}

// New returns a Handler for v. It copies the secret keys of cfg, so that the caller can wipe
// its own; Close wipes the copies. Errors: vault.ErrInvalid for a wrong argument,
// vault.ErrLockedMemory.
func New(v *vault.Vault, cfg Config) (*Handler, error) {
	if v == nil || len(cfg.Credentials) == 0 && cfg.Principal == nil {
		return nil, fmt.Errorf("%w: a Handler needs a vault and at least one credential, or Config.Principal", vault.ErrInvalid)
	}
	h := &Handler{vault: v, region: cfg.Region, now: cfg.Now, logger: cfg.Logger,
		keys: webapi.NewKeyring[vault.Principal](), principal: cfg.Principal, observe: cfg.Observe}
	if h.region == "" {
		h.region = "local"
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	for _, c := range cfg.Credentials {
		if err := h.add(c); err != nil {
			h.Close()
			return nil, err
		}
	}
	return h, nil
}

// Close wipes the secret keys. Later requests fail with AuthFailure.SecretIdNotFound. Close
// does not close the vault. It may be called twice.
func (h *Handler) Close() error { return h.keys.Close() }

// ServeHTTP implements http.Handler. A body above MaxBody is refused without being read.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, result := time.Now(), Result{RequestID: webapi.NewRequestID()}
	answer, err := h.serve(w, r, &result)
	defer suite.Wipe(answer.plaintext)
	var f failure
	if err != nil {
		f = h.failureOf(err, r.Header.Get("X-TC-Action"), result.RequestID)
	}
	if h.observe != nil {
		result.Code, result.Duration = f.code, time.Since(began)
		h.observe(result)
	}
	if err != nil {
		webapi.Respond(w, http.StatusOK, "application/json", encodeFailure(f, result.RequestID))
		return
	}
	webapi.Respond(w, http.StatusOK, "application/json", answer.encode(result.RequestID))
}

// serve authenticates a request and runs its operation. It notes in result what it knows of
// the request.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, result *Result) (reply, error) {
	if err := checkProtocol(r); err != nil {
		return reply{}, err
	}
	body, err := webapi.ReadBody(w, r, MaxBody)
	defer suite.Wipe(body)
	if errors.Is(err, webapi.ErrTooLong) {
		return reply{}, failure{requestSizeLimitExceeded, fmt.Sprintf("The body of a request has at most %d bytes.", MaxBody)}
	} else if err != nil {
		return reply{}, failure{invalidParameter, "The body of the request could not be read to its end."}
	}
	action := r.Header.Get("X-TC-Action")
	op, ok := operation(action)
	if ok {
		result.Action = op.Action
	}
	if result.Principal, err = h.principalOf(r, body); err != nil {
		return reply{}, err
	}
	if action == "" {
		return reply{}, failure{missingParameter, "The header X-TC-Action is missing."}
	}
	if v := r.Header.Get("X-TC-Version"); v != Version {
		return reply{}, failure{noSuchVersion, "The API has the version " + Version + " only; set the header X-TC-Version."}
	}
	if !ok {
		return reply{}, failure{invalidAction, "The API has no action of that name."}
	}
	if !op.Served() {
		return reply{}, failure{op.Refusal, "The vault does not support the action: " + op.Note + "."}
	}
	parameters, err := op.parameters(r, body)
	if err != nil {
		return reply{}, err
	}
	ctx := vault.WithRequestID(r.Context(), result.RequestID)
	return op.serve(call{Context: ctx, Client: h.vault.As(result.Principal), handler: h, action: action, id: result.RequestID}, parameters)
}

// principalOf returns the principal of a request: that of its connection, or else that of its
// signature.
func (h *Handler) principalOf(r *http.Request, body []byte) (vault.Principal, error) {
	if h.principal != nil {
		if p, ok := h.principal(r); ok {
			return p, nil
		}
	}
	return h.authenticate(r, body)
}

// A call is a request whose principal is known.
type call struct {
	context.Context
	vault.Client
	handler    *Handler
	action, id string
}

// RoundTripper returns a transport that passes requests to the handler in the same process,
// without a network. It verifies signatures as ServeHTTP does, because these name the
// principal. Whatever the host of the request's URL is, the handler serves it.
func (h *Handler) RoundTripper() http.RoundTripper { return webapi.Transport(h) }
