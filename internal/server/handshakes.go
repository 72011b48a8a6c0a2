package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"strongroom.example/vault"
	"strongroom.example/vault/throttle"
)

// fullHandshakes is the limit of full TLS handshakes of one network address. Each is a signature
// by the key of TLS with an audit record, also for a client without a credential. A handshake
// that resumes a session signs nothing.
var fullHandshakes = throttle.Rate{PerSecond: 10, Burst: 100}

var errHandshakes = errors.New("the limit of TLS handshakes of the address is reached")

// limitHandshakes returns a tls.Config.GetCertificate that returns c, or an error for an address
// that is above the limit. It is called for full handshakes only, before the signature.
func limitHandshakes(c *tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	limiter := throttle.New(throttle.Config{Principal: fullHandshakes})
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		from := vault.Principal(networkOf(hello.Conn.RemoteAddr()))
		if limiter.Limit(vault.Request{Operation: vault.OpSign, Principal: from, Time: time.Now()}) > 0 {
			return nil, errHandshakes
		}
		return c, nil
	}
}

// networkOf returns what a client cannot change of its address: all of an IPv4 address, and the
// first 64 bits of an IPv6 address, because a host has the rest for itself.
func networkOf(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := at.Addr().Unmap()
	network, err := ip.Prefix(min(64, ip.BitLen()))
	if err != nil {
		return a.String()
	}
	return network.String()
}
