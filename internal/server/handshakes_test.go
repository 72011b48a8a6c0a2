//go:build linux

package server

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"strongroom.example/audit"
	"strongroom.example/vault"
)

// TestHandshakes resumes a session, which signs nothing, also above the limit of handshakes.
func TestHandshakes(t *testing.T) {
	f := newFixture(t)
	c := f.vault.As(vault.DefaultOwner)
	k, err := c.CreateKey(t.Context(), vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.SignVerify})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := c.Signer(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cert.pem")
	config, err := TLSConfig(signer, path, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := f.serve("127.0.0.1:0", Rules{Clients: f.cfg.Clients, TLS: config})
	client := &tls.Config{RootCAs: x509.NewCertPool(), ClientSessionCache: tls.NewLRUClientSessionCache(1), NextProtos: []string{"http/1.1"}}
	client.RootCAs.AppendCertsFromPEM(text)
	signatures := func() (n int) {
		for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(vault.OpSign)}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Result == audit.OK {
				n++
			}
		}
		return n
	}
	before := signatures() // that of the certificate
	if resumed, err := handshake(l.Addr(), client); resumed || err != nil {
		t.Errorf("the first handshake: resumed %v, %v", resumed, err)
	}
	if resumed, err := handshake(l.Addr(), client); !resumed || err != nil || signatures() != before+1 {
		t.Errorf("the second handshake: resumed %v, %v; %d signatures", resumed, err, signatures()-before)
	}
	for from := (&tls.ClientHelloInfo{Conn: connFrom("127.0.0.1:1")}); err == nil; {
		_, err = config.GetCertificate(from)
	}
	made := signatures()
	if resumed, err := handshake(l.Addr(), client); !resumed || err != nil || signatures() != made {
		t.Errorf("above the limit a session is not resumed: %v, %v", resumed, err)
	}
}

// handshake makes a TLS connection, with one request so that a session's ticket arrives, and
// reports whether it resumed a session.
func handshake(address net.Addr, config *tls.Config) (resumed bool, err error) {
	conn, err := tls.Dial(address.Network(), address.String(), config)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /health/live HTTP/1.0\r\nHost: v\r\n\r\n")); err != nil {
		return false, err
	}
	_, err = conn.Read(make([]byte, 1024))
	return conn.ConnectionState().DidResume, err
}

// TestHandshakeLimit counts the handshakes of each address by itself.
func TestHandshakeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := limitHandshakes(&tls.Certificate{})
		most := func(address string) (n int) {
			for {
				if c, err := get(&tls.ClientHelloInfo{Conn: connFrom(address)}); err != nil || c == nil {
					return n
				}
				n++
			}
		}
		for _, x := range []struct {
			address string
			want    int
		}{
			{"192.0.2.7:1", 100}, {"192.0.2.7:2", 0}, {"[::ffff:192.0.2.7]:1", 0}, {"192.0.2.8:1", 100},
			{"[2001:db8::1]:1", 100}, {"[2001:db8::2:3]:1", 0}, {"[2001:db8:0:1::1]:1", 100}, {"[fe80::1%eth0]:1", 100},
		} {
			if got := most(x.address); got != x.want {
				t.Errorf("%s: %d handshakes, want %d", x.address, got, x.want)
			}
		}
		time.Sleep(time.Second)
		if got := most("192.0.2.7:1"); got != 10 {
			t.Errorf("a second later: %d handshakes, want 10", got)
		}
	})
}

// A connFromAddress is a connection of a client at an address.
type connFromAddress struct {
	net.Conn
	remote net.Addr
}

func connFrom(address string) net.Conn {
	return connFromAddress{remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))}
}

// RemoteAddr implements net.Conn.
func (c connFromAddress) RemoteAddr() net.Addr { return c.remote }
