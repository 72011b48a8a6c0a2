package demo

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A CA issues certificates for one run of an example. Its key is in memory; the example ca
// shows one whose key is in the vault.
type CA struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	Pool *x509.CertPool // has the certificate of the CA only
}

// NewCA makes a CA.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "CA of an example"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c := &CA{key: key, Pool: x509.NewCertPool()}
	c.cert, err = x509.ParseCertificate(der)
	if err == nil {
		c.Pool.AddCert(c.cert)
	}
	return c, err
}

// Issue returns a certificate of a name for the key of a signer, with the signer.
func (c *CA) Issue(name string, key crypto.Signer) (tls.Certificate, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// NewKey returns a key in memory, for the side of a connection that has no device.
func NewKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// Serve greets each client that connects over loopback by the name in its certificate, until
// ctx is done. It returns the address.
func Serve(ctx context.Context, cfg *tls.Config) (address string, err error) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go greet(ctx, conn.(*tls.Conn))
		}
	}()
	return l.Addr().String(), nil
}

func greet(ctx context.Context, conn *tls.Conn) {
	defer conn.Close()
	if conn.HandshakeContext(ctx) != nil {
		return // the client gets an alert
	}
	name := "stranger"
	if all := conn.ConnectionState().PeerCertificates; len(all) > 0 {
		name = all[0].Subject.CommonName
	}
	fmt.Fprintf(conn, "hello %s\n", name)
}

// Call connects to a server, and returns its greeting and the state of the connection.
func Call(ctx context.Context, address string, cfg *tls.Config) (greeting string, state tls.ConnectionState, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", state, err
	}
	client := tls.Client(conn, cfg)
	defer client.Close()
	if err := client.HandshakeContext(ctx); err != nil {
		return "", state, err
	}
	greeting, err = bufio.NewReader(client).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return greeting, client.ConnectionState(), err
}
