package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrAddress reports an address that is not served. The text says why, and how to correct it.
var ErrAddress = errors.New("address")

// Rules say what an address may be.
type Rules struct {
	// TLS is the configuration of TCP listeners. nil means plain text, which is permitted on
	// a loopback address only.
	TLS *tls.Config
	// Clients are those of the server. An address that none of them can use is refused.
	Clients *Clients
	// Mode is the mode of the socket file of unix:PATH. 0 means 0660.
	Mode fs.FileMode
}

// Listen listens on unix:PATH, HOST:PORT, or systemd:NAME, a socket that systemd passed to
// this process. It replaces the socket file of a process that has ended. Errors: ErrAddress
// for an address that the rules refuse, and those of the system.
func Listen(address string, r Rules) (net.Listener, error) {
	l, err := open(address, r)
	if err != nil {
		return nil, err
	}
	if _, tcp := l.Addr().(*net.TCPAddr); tcp && r.TLS != nil {
		l = tls.NewListener(l, r.TLS)
	}
	return l, nil
}

func open(address string, r Rules) (net.Listener, error) {
	kind, rest, _ := strings.Cut(address, ":")
	switch kind {
	case "unix":
		if err := r.unix(address); err != nil {
			return nil, err
		}
		return listenUnix(rest, r.Mode)
	case "systemd":
		l, err := passed(rest)
		if err == nil {
			err = r.check(address, l.Addr())
		}
		if err != nil && l != nil {
			err = errors.Join(err, l.Close())
			l = nil
		}
		return l, err
	}
	// The address is resolved once, so that the one that is checked is the one that listens.
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w; an address is unix:PATH, HOST:PORT or systemd:NAME", ErrAddress, address, err)
	}
	if err := r.check(address, tcp); err != nil {
		return nil, err
	}
	return net.ListenTCP("tcp", tcp)
}

// check returns why an address is refused.
func (r Rules) check(address string, a net.Addr) error {
	switch a := a.(type) {
	case *net.UnixAddr:
		return r.unix(address)
	case *net.TCPAddr:
		switch {
		case len(r.Clients.Credentials) == 0:
			return fmt.Errorf("%w %s: TCP does not name the user at the other end: add credentials to the file of clients", ErrAddress, address)
		case r.TLS == nil && !a.IP.IsLoopback():
			return fmt.Errorf("%w %s: others can read plain text on the network: use --tls-key, or a loopback address such as 127.0.0.1", ErrAddress, address)
		}
		return nil
	}
	return fmt.Errorf("%w %s: the network %s is not served", ErrAddress, address, a.Network())
}

// unix returns why a Unix socket is refused.
func (r Rules) unix(address string) error {
	if len(r.Clients.Peers)+len(r.Clients.Credentials) == 0 {
		return fmt.Errorf("%w %s: no client can use it: add peers to the file of clients", ErrAddress, address)
	}
	return nil
}

// listenUnix listens on a socket file of a mode. No one else can connect before the file has
// it: bindUnix makes the file with no more rights than the mode, and Chmod adds those that the
// umask took away.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	if mode == 0 {
		mode = 0o660
	}
	l, err := bindUnix(path, mode)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes the socket file of a process that has ended.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return nil // absent, or a file that is not to be removed: listening fails then
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w unix:%s: another process serves it", ErrAddress, path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

// Address returns the address of a listener as Listen takes it.
func Address(l net.Listener) string {
	if u, ok := l.Addr().(*net.UnixAddr); ok {
		return "unix:" + u.Name
	}
	return l.Addr().String()
}
