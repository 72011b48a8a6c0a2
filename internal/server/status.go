package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"strongroom.example/internal/redact"
	"strongroom.example/internal/server/promtext"
	"strongroom.example/vault"
)

// minPassword is the least length of the status page's password in bytes.
const minPassword = 16

// statusAge is how long a status page is shown again, because each new one makes records
// in the audit log.
const statusAge = 2 * time.Second

// StatusConfig configures a StatusServer. It prints redacted.
type StatusConfig struct {
	redact.Secret
	Vault *vault.Vault
	// Principal reads the vault. It needs StatusOperations and no other operation.
	Principal vault.Principal
	// Password is what a browser is asked for, with any user name: at least 16 bytes. Empty
	// means that the listener is a Unix socket, whose file mode says who may read the page. The
	// caller wipes it after NewStatus.
	Password []byte
	// Metrics are written at /metrics. nil means none.
	Metrics *promtext.Provider
	// Ready reports whether the server accepts work.
	Ready  func() bool
	Logger *slog.Logger
	Now    func() time.Time
	Limits Limits
}

// StatusOperations returns the operations that the status page needs. None of them changes
// the vault or returns a secret.
func StatusOperations() []vault.Operation {
	return []vault.Operation{vault.OpListKeys, vault.OpDescribeKey, vault.OpListProtectors, vault.OpReadAudit}
}

// A StatusServer serves the status page, which changes nothing, and the metrics. It prints
// redacted.
type StatusServer struct {
	redact.Secret
	cfg      StatusConfig      // without the password
	asks     bool              // for the password
	password [sha256.Size]byte // its hash
	http     *http.Server

	mu   sync.Mutex
	page []byte // the last page
	made time.Time

	uses     map[string]time.Time // the last uses of keys, by id
	usesRead time.Time
}

// NewStatus returns a StatusServer. Errors: vault.ErrInvalid.
func NewStatus(cfg StatusConfig) (*StatusServer, error) {
	if cfg.Vault == nil || cfg.Principal == "" {
		return nil, fmt.Errorf("%w: a status page needs a vault and a principal", vault.ErrInvalid)
	}
	if n := len(cfg.Password); n > 0 && n < minPassword {
		return nil, fmt.Errorf("%w: the password of the status page has %d bytes, the least are %d", vault.ErrInvalid, n, minPassword)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := cfg.Limits.withDefaults()
	s := &StatusServer{cfg: cfg, asks: len(cfg.Password) > 0, password: sha256.Sum256(cfg.Password)}
	s.cfg.Password = nil
	conns := newConnections(64)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.status)
	mux.HandleFunc("GET /metrics", s.metrics)
	s.http = &http.Server{
		Handler: s.guard(mux), MaxHeaderBytes: maxHeader, ConnState: conns.state, ConnContext: withConn,
		ReadHeaderTimeout: l.Header, ReadTimeout: l.Header, WriteTimeout: l.Response, IdleTimeout: l.Idle,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// ListenStatus listens for a StatusServer: on unix:PATH with the mode 0600, on systemd:NAME,
// or, if the page has a password, on a loopback address. Errors: ErrAddress.
func ListenStatus(address string, password bool) (net.Listener, error) {
	// A password is the credential of TCP. Without TLS the rules permit a loopback address
	// only; a Unix socket needs no client in a file.
	c := &Clients{Peers: []Peer{{}}}
	if password {
		c.Credentials = []Credential{{}}
	}
	l, err := Listen(address, Rules{Clients: c, Mode: 0o600})
	if err != nil && !password {
		err = fmt.Errorf("%w; on TCP the status page needs --status-password", err)
	}
	return l, err
}

// Serve serves the connections of a listener until Shutdown.
func (s *StatusServer) Serve(l net.Listener) error {
	s.cfg.Logger.Info("serving the status page", "address", Address(l))
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown closes the connections.
func (s *StatusServer) Shutdown() error { return s.http.Close() }

// guard permits reading only, and asks for the password.
func (s *StatusServer) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if r.URL.Path == pathLive || r.URL.Path == pathReady {
			writeHealth(w, r, s.cfg.Ready == nil || s.cfg.Ready())
			return
		}
		if crossSite(r) {
			http.Error(w, "Pages of other sites do not read the status page.", http.StatusForbidden)
			return
		}
		if !s.permitted(r) {
			h.Set("WWW-Authenticate", `Basic realm="Strongroom status", charset="UTF-8"`)
			http.Error(w, "The status page needs its password.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// crossSite reports whether a page of another site made a browser send the request, with the
// password that the browser knows (Fetch Metadata Request Headers). A link is permitted.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.Header.Get("Sec-Fetch-Dest") != "document"
}

// permitted compares the password in constant time.
func (s *StatusServer) permitted(r *http.Request) bool {
	if !s.asks {
		return true
	}
	_, password, ok := r.BasicAuth()
	sum := sha256.Sum256([]byte(password))
	return ok && subtle.ConstantTimeCompare(sum[:], s.password[:]) == 1
}

func (s *StatusServer) metrics(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Metrics == nil {
		http.Error(w, "There are no metrics.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", promtext.ContentType)
	if _, err := s.cfg.Metrics.WriteTo(w); err != nil {
		s.cfg.Logger.Warn("metrics", "error", err)
	}
}

// status writes the page.
func (s *StatusServer) status(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(s.current(r.Context()))
}

// current returns the last page, or a new one if that is too old. It reads the vault to the end
// also if the client has gone, because others get this page too.
func (s *StatusServer) current(ctx context.Context) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := time.Since(s.made); s.page != nil && age < statusAge {
		return s.page
	}
	s.page, s.made = s.read(context.WithoutCancel(ctx)).html(), time.Now()
	return s.page
}
