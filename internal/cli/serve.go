package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/secretsource"
	"strongroom.example/internal/server"
	"strongroom.example/internal/server/promtext"
	"strongroom.example/internal/suite"
	"strongroom.example/vault"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	listen                         []string
	clients                        string
	mode                           string
	tlsKey, tlsCert                string
	tlsHosts                       []string
	status, password, statusReader string
	connections                    int
	drain                          time.Duration
	log, level                     string
	region, account                string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use: "serve", Short: "Serve the vault to other processes", Args: cobra.NoArgs,
		Long: `serve opens the vault and serves it through the APIs of Tencent Cloud KMS and AWS KMS, on Unix sockets and on TCP,
until SIGTERM or Ctrl-C. It then ends the requests in flight, and closes the vault. As long as it runs, no other command
opens the vault.

The file of clients maps clients to principals. On a Unix socket the kernel names the user of the other process, which
"peers" map to a principal; such a client needs no secret. On TCP, and for any other user of a Unix socket, a request is
signed with one of the "credentials". A TCP address that is not loopback needs TLS, whose key is a CMK of the vault for
SIGN_VERIFY.

  {"peers": [{"uid": 1000, "principal": "shop"}],
   "credentials": [{"id": "AKIDtill", "secret": "file:/etc/strongroom/till.secret", "principal": "till"}]}

As long as the vault stores no policies, only the owner may do anything; "policies put" permits other principals.
docs/serve.md has a systemd unit, an example of policies, and the limits of the server.`,
		Example: "  strongroom serve --listen unix:/run/strongroom/kms.sock --clients /etc/strongroom/clients.json\n" +
			"  strongroom serve --listen 0.0.0.0:8443 --tls-key server --tls-cert server.pem --tls-host kms.example --clients c.json\n" +
			"  strongroom serve --listen systemd:kms --clients clients.json --status unix:/run/strongroom/status.sock",
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), f) },
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringArrayVar(&f.listen, "listen", nil, "an `address`: unix:PATH, HOST:PORT, or systemd:NAME for a socket of a socket unit; may be repeated")
	s.StringVar(&f.clients, "clients", "", "the `file` of clients")
	s.StringVar(&f.mode, "socket-mode", "0660", "the `mode` of the socket file of unix:PATH")
	s.StringVar(&f.tlsKey, "tls-key", "", "the `CMK` that is the key of TLS on TCP, by id or alias")
	s.StringVar(&f.tlsCert, "tls-cert", "", "the `file` of its certificate in PEM; if it does not exist, the CMK signs its own and serve writes it")
	s.StringArrayVar(&f.tlsHosts, "tls-host", nil, "a `host` name or address in the certificate that is written; default localhost, 127.0.0.1 and ::1; may be repeated")
	s.StringVar(&f.status, "status", "", "the `address` of the status page and the metrics: unix:PATH, systemd:NAME or a loopback HOST:PORT")
	s.StringVar(&f.password, "status-password", "", "where the password of the status page comes from, which TCP needs: a `source` such as file:PATH or systemd:NAME")
	s.StringVar(&f.statusReader, "status-principal", "status", "the `principal` that reads the vault for the status page")
	s.StringVar(&f.region, "aws-region", "us-east-1", "the `region` in the ARNs of AWS KMS, for which its clients sign")
	s.StringVar(&f.account, "aws-account", "000000000000", "the `account` in the ARNs of AWS KMS")
	s.IntVar(&f.connections, "max-connections", 1024, "the largest `number` of open connections")
	s.DurationVar(&f.drain, "drain", 10*time.Second, "how long requests in flight may take after SIGTERM")
	s.StringVar(&f.log, "log", "text", "the `format` of the log on the standard error: text or json")
	s.StringVar(&f.level, "log-level", "info", "the lowest `level` of the log: debug, info, warn or error")
	must(c.MarkFlagRequired("listen"))
	must(c.MarkFlagRequired("clients"))
	must(c.RegisterFlagCompletionFunc("log", fixed("text", "json")))
	must(c.RegisterFlagCompletionFunc("log-level", fixed("debug", "info", "warn", "error")))
	return c
}

// A running is what serve runs, in the order in which it is made.
type running struct {
	session *session.Session
	logger  *slog.Logger
	server  *server.Server
	status  *server.StatusServer
	listens []net.Listener
	page    net.Listener
}

// serve opens the vault, serves it until ctx is done, and closes it.
func (a *app) serve(ctx context.Context, f serveFlags) (err error) {
	logger, err := newLogger(a.stderr, f)
	if err != nil {
		return err
	}
	settings, err := a.settings()
	if err != nil {
		return err
	}
	clients, err := server.LoadClients(ctx, f.clients)
	if err != nil {
		return err
	}
	defer clients.Wipe()
	o := a.options(io.Discard)
	o.Scrub, o.Authorizer = true, readers{settings.Principal(), vault.Principal(f.statusReader)}
	r := &running{logger: logger}
	if r.session, err = session.New(ctx, settings, o); err == nil {
		err = r.session.Open(ctx)
	}
	// Background work and signatures of TLS go on until the requests in flight have ended.
	running := context.WithoutCancel(ctx)
	if err == nil {
		err = r.prepare(running, f, clients)
	}
	clients.Wipe()
	if err == nil {
		err = r.run(ctx, f.drain)
	}
	return errors.Join(err, r.close())
}

// prepare makes the servers and listens.
func (r *running) prepare(ctx context.Context, f serveFlags, clients *server.Clients) error {
	mode, err := strconv.ParseUint(f.mode, 8, 32)
	if err != nil || mode > 0o777 {
		return usage("the mode of the socket is an octal number such as 0660")
	}
	rules := server.Rules{Clients: clients, Mode: fs.FileMode(mode)}
	if (f.tlsKey == "") != (f.tlsCert == "") {
		return usage("TLS needs both --tls-key and --tls-cert")
	}
	if f.tlsKey != "" {
		hosts := f.tlsHosts
		if len(hosts) == 0 {
			hosts = []string{"localhost", "127.0.0.1", "::1"}
		}
		signer, err := r.session.Client().Signer(ctx, f.tlsKey)
		if err != nil {
			return fmt.Errorf("the key of TLS: %w", err)
		}
		if rules.TLS, err = server.TLSConfig(signer, f.tlsCert, hosts); err != nil {
			return err
		}
	}
	metrics := new(promtext.Provider)
	limits := server.Limits{Connections: f.connections}
	if r.server, err = server.New(server.Config{Vault: r.session.Vault, Clients: clients, Logger: r.logger, Meters: metrics, Region: f.region, Account: f.account, Limits: limits}); err != nil {
		return err
	}
	for _, address := range f.listen {
		l, err := server.Listen(address, rules)
		if err != nil {
			return err
		}
		r.listens = append(r.listens, l)
	}
	if f.status == "" {
		return nil
	}
	return r.prepareStatus(ctx, f, metrics)
}

func (r *running) prepareStatus(ctx context.Context, f serveFlags, metrics *promtext.Provider) error {
	password, err := readPassword(ctx, f.password)
	if err != nil {
		return err
	}
	defer suite.Wipe(password)
	r.status, err = server.NewStatus(server.StatusConfig{
		Vault: r.session.Vault, Principal: vault.Principal(f.statusReader), Password: password,
		Metrics: metrics, Ready: r.server.Ready, Logger: r.logger,
	})
	if err != nil {
		return err
	}
	r.page, err = server.ListenStatus(f.status, len(password) > 0)
	return err
}

// readPassword reads the password of the status page; an empty source is none.
func readPassword(ctx context.Context, source string) ([]byte, error) {
	if source == "" {
		return nil, nil
	}
	kind := secretsource.Kind{Name: "password of the status page", Max: 256}
	from, err := secretsource.ParseUnattended(source, kind)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrSettings, err)
	}
	return from.Read(ctx, kind)
}

// run serves until ctx is done or a listener fails, and then drains the requests in flight.
func (r *running) run(ctx context.Context, drain time.Duration) error {
	failed := make(chan error, len(r.listens)+1)
	for _, l := range r.listens {
		go func() { failed <- r.server.Serve(l) }()
	}
	if r.status != nil {
		go func() { failed <- r.status.Serve(r.page) }()
	}
	if err := server.Notify("READY=1"); err != nil {
		r.logger.Warn("the service manager could not be notified", "error", err)
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	server.Notify("STOPPING=1")
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if cut := r.server.Shutdown(limit); cut != nil && err == nil {
		err = fmt.Errorf("requests in flight did not end within %v: %w", drain, errDrain)
	}
	return err
}

var errDrain = errors.New("they were cut off, and the audit log has what they did")

// close closes everything that prepare and serve opened.
func (r *running) close() (err error) {
	if r.server != nil {
		err = r.server.Shutdown(context.Background())
	}
	if r.status != nil {
		err = errors.Join(err, r.status.Shutdown())
	}
	for _, l := range append(r.listens, r.page) {
		if l != nil {
			l.Close() // closed already if it was served
		}
	}
	if r.session != nil {
		err = errors.Join(err, r.session.Close())
	}
	if err == nil {
		r.logger.Info("the vault is closed")
	}
	return err
}

// readers is the Authorizer until policies are stored: the owner may do everything, and the
// status page may read.
type readers struct{ owner, status vault.Principal }

// Authorize implements vault.Authorizer.
func (a readers) Authorize(_ context.Context, r vault.Request) (vault.Decision, error) {
	switch {
	case r.Principal == a.owner:
		return vault.Decision{Allow: true, Rule: "owner"}, nil
	case r.Principal == a.status && slices.Contains(server.StatusOperations(), r.Operation):
		return vault.Decision{Allow: true, Rule: "status page"}, nil
	}
	return vault.Decision{}, nil
}

// newLogger returns the log of serve.
func newLogger(w io.Writer, f serveFlags) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, usage("the level of the log is debug, info, warn or error")
	}
	o := &slog.HandlerOptions{Level: level}
	switch f.log {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, usage("the format of the log is text or json")
}
