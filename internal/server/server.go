// Package server serves a vault to other processes through the APIs of cloud services: on a
// Unix socket, whose peers the kernel names, or on TCP with TLS and signed requests. It has a
// health endpoint, metrics, and a status page that changes nothing.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
	"strongroom.example/vault/tencentkms"
)

// Config configures a Server. The zero value of each limit means the default.
type Config struct {
	// Vault is served. The caller closes it after Shutdown.
	Vault *vault.Vault
	// Clients are those that may connect.
	Clients *Clients
	// Logger receives what an operator has to know. nil means none.
	Logger *slog.Logger
	// Meters makes the instruments. nil means that nothing is measured.
	Meters metric.MeterProvider
	// Region and Account stand in the ARNs of the API of AWS, and its requests are signed for
	// the region. Empty means the defaults of package awskms.
	Region, Account string
	// Now is the time of day by which the time of a signature is judged. nil means time.Now.
	Now func() time.Time
	// Limits bounds what clients can take.
	Limits Limits
}

// Limits bounds what clients can take. A zero field means its default.
type Limits struct {
	// Connections is the largest number of open connections, 1024 by default. Above it the
	// connection that has waited longest for its client is closed. A connection carries one
	// request at a time, so that this bounds the requests in flight as well.
	Connections int
	// Header is the longest wait for the header of a request after its first byte, and for a
	// TLS handshake: 5 s by default. Request is that for the whole request, 30 s by default.
	Header, Request time.Duration
	// Response is the longest time from the end of a request's header to the end of its
	// response, 60 s by default.
	Response time.Duration
	// Idle is how long a connection without a request stays open, 60 s by default.
	Idle time.Duration
}

// slowAtShutdown is how long Shutdown waits for requests that are not there to their end. They
// have not begun, so that nothing is lost with them.
const slowAtShutdown = time.Second

// maxHeader is the largest header of a request in bytes.
const maxHeader = 16 << 10

func (l Limits) withDefaults() Limits {
	if l.Connections == 0 {
		l.Connections = 1024
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&l.Header, 5 * time.Second}, {&l.Request, 30 * time.Second}, {&l.Response, time.Minute}, {&l.Idle, time.Minute}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return l
}

// A Server serves a vault. It is safe for concurrent use.
type Server struct {
	cfg      Config
	tencent  *tencentkms.Handler
	aws      *awskms.Handler
	conns    *connections
	measured *instruments
	http     *http.Server
	stopping atomic.Bool

	mu      sync.Mutex
	serving sync.WaitGroup
}

// New returns a Server. Errors: those of tencentkms.New and awskms.New, and those of the
// MeterProvider.
func New(cfg Config) (*Server, error) {
	if cfg.Vault == nil || cfg.Clients == nil {
		return nil, fmt.Errorf("%w: a Server needs a vault and clients", vault.ErrInvalid)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{cfg: cfg, conns: newConnections(cfg.Limits.Connections)}
	var err error
	if s.measured, err = newInstruments(cfg.Meters, cfg.Vault, s.conns); err != nil {
		return nil, err
	}
	if err := s.newHandlers(); err != nil {
		return nil, errors.Join(err, s.measured.close())
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // one request at a time on each connection: see Limits
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), Protocols: &protocols, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: cfg.Limits.Header, ReadTimeout: cfg.Limits.Request,
		WriteTimeout: cfg.Limits.Response, IdleTimeout: cfg.Limits.Idle,
		ConnState: s.conns.state, ConnContext: s.accepted,
		// What net/http reports are faults of clients, such as a broken handshake.
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// newHandlers makes the handlers of the APIs.
func (s *Server) newHandlers() (err error) {
	c := s.cfg
	s.tencent, err = tencentkms.New(c.Vault, tencentkms.Config{
		Credentials: c.Clients.tencent(), Principal: peerPrincipal, Now: c.Now, Logger: c.Logger,
		Observe: func(r tencentkms.Result) {
			s.observe(result{"tencent", r.RequestID, r.Action, r.Code, r.Principal, r.Duration})
		},
	})
	if err != nil {
		return err
	}
	s.aws, err = awskms.New(c.Vault, awskms.Config{
		Credentials: c.Clients.aws(), Principal: peerPrincipal, Now: c.Now, Logger: c.Logger, Region: c.Region, Account: c.Account,
		Observe: func(r awskms.Result) {
			s.observe(result{"aws", r.RequestID, r.Action, r.Code, r.Principal, r.Duration})
		},
	})
	if err != nil {
		err = errors.Join(err, s.tencent.Close())
	}
	return err
}

// Serve serves the connections of a listener that Listen returned, until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.stopping.Load() {
		s.mu.Unlock()
		return errors.Join(http.ErrServerClosed, l.Close())
	}
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()
	s.cfg.Logger.Info("serving", "address", Address(l))
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting connections, waits until the requests in flight have their
// responses, and wipes the credentials. After the end of ctx it closes the connections that
// are left, and returns the error of ctx; their operations go on until the vault is closed.
// It does not close the vault. It may be called twice.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopping.Swap(true)
	s.mu.Unlock()
	if !first {
		return nil
	}
	s.cfg.Logger.Info("stopping", "connections", s.conns.open())
	slow := time.AfterFunc(slowAtShutdown, s.conns.closeWaiting)
	defer slow.Stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
		s.cfg.Logger.Warn("requests were cut off", "error", err)
	}
	s.serving.Wait()
	return errors.Join(err, s.tencent.Close(), s.aws.Close(), s.measured.close())
}

// serve serves one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	defer s.recovered(r)
	if s.health(w, r) {
		return
	}
	// A copy has the other body, because net/http looks at that of r to see whether the client
	// still waits to send it.
	noted := r.WithContext(r.Context())
	body, open := s.conns.body(r)
	if !open {
		return // the response could not be sent
	}
	noted.Body = body
	if r.Header.Get("X-Amz-Target") != "" {
		s.aws.ServeHTTP(w, noted)
		return
	}
	s.tencent.ServeHTTP(w, noted)
}

// recovered ends a request whose handler panicked. The log has the place of the panic and not
// its value, which could be made from a secret.
func (s *Server) recovered(r *http.Request) {
	value := recover()
	if value == nil {
		return
	}
	s.cfg.Logger.Error("a request panicked", "type", fmt.Sprintf("%T", value), "action", r.Header.Get("X-TC-Action")+r.Header.Get("X-Amz-Target"), "stack", string(debug.Stack()))
	panic(http.ErrAbortHandler)
}

// A result says how a request ended, whatever its API.
type result struct {
	api, request, action, code string
	principal                  vault.Principal
	took                       time.Duration
}

// observe counts a result, and logs it at the level of debugging, because the audit log has
// the operations.
func (s *Server) observe(r result) {
	s.measured.request(r)
	if s.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
		s.cfg.Logger.Debug("request", "api", r.api, "request", r.request, "action", r.action, "principal", string(r.principal), "code", r.code, "took", r.took)
	}
}
