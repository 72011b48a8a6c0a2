//go:build linux

package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"strongroom.example/vault"
)

// TestAddresses checks which addresses are served, and for which clients.
func TestAddresses(t *testing.T) {
	dir := t.TempDir()
	uid := uint32(os.Getuid())
	peers := &Clients{Peers: []Peer{{UID: &uid, Principal: "p"}}}
	signed := &Clients{Credentials: []Credential{{ID: "i", Key: credentialKey, Principal: "p"}}}
	secure := &tls.Config{}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		address string
		rules   Rules
		want    error
	}{
		{"unix:" + dir + "/a", Rules{Clients: peers}, nil},
		{"unix:" + dir + "/b", Rules{Clients: signed}, nil},
		{"unix:" + dir + "/c", Rules{Clients: new(Clients)}, ErrAddress},
		{"unix:" + file, Rules{Clients: peers}, errAny},
		{"127.0.0.1:0", Rules{Clients: signed}, nil},
		{"127.0.0.1:0", Rules{Clients: peers}, ErrAddress},
		{"127.0.0.1:0", Rules{Clients: peers, TLS: secure}, ErrAddress},
		{"0.0.0.0:0", Rules{Clients: signed}, ErrAddress},
		{":0", Rules{Clients: signed}, ErrAddress},
		{"[::]:0", Rules{Clients: signed}, ErrAddress},
		{"192.0.2.1:0", Rules{Clients: signed}, ErrAddress},
		{"0.0.0.0:0", Rules{Clients: signed, TLS: secure}, nil},
		{"127.0.0.1", Rules{Clients: signed}, ErrAddress},
		{"", Rules{Clients: signed}, ErrAddress},
		{"systemd:none", Rules{Clients: signed}, ErrAddress},
	} {
		l, err := Listen(c.address, c.rules)
		if err == nil {
			l.Close()
		}
		if c.want == errAny && err != nil {
			continue
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.address, err, c.want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "kept" {
		t.Errorf("the file at the address: %q, %v", text, err)
	}
}

var errAny = errors.New("any error")

// TestSocketFile checks the mode of a socket file, and that a stale one is replaced but not
// one that is served.
func TestSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	uid := uint32(os.Getuid())
	rules := Rules{Clients: &Clients{Peers: []Peer{{UID: &uid, Principal: "p"}}}, Mode: 0o606}
	l, err := Listen("unix:"+path, rules)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o606 || info.Mode()&fs.ModeSocket == 0 {
		t.Errorf("the socket file: %v, %v", info, err)
	}
	if _, err := Listen("unix:"+path, rules); !errors.Is(err, ErrAddress) {
		t.Errorf("a socket that is served: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a process that is killed leaves it
	l.Close()
	l, err = Listen("unix:"+path, rules)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file stays: %v", err)
	}
}

// TestSocketFileBeforeChmod checks that a socket file never has more rights than its mode,
// whatever the umask is, because another user could connect in the meantime.
func TestSocketFileBeforeChmod(t *testing.T) {
	for umask, want := range map[int]fs.FileMode{0: 0o620, 0o22: 0o600, 0o777: 0} {
		path := filepath.Join(t.TempDir(), "s")
		former := syscall.Umask(umask)
		l, err := bindUnix(path, 0o620)
		if err == nil {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %o: the socket file has the mode %v, %v; want %v", umask, info.Mode(), err, want)
			}
			l.Close()
			l, err = listenUnix(path, 0o620)
		}
		syscall.Umask(former)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o620 {
			t.Errorf("umask %o: in the end the socket file has the mode %v, %v", umask, info.Mode(), err)
		}
		l.Close()
	}
}

// TestTLS serves on TCP with a CMK as the key, and a certificate that the CMK signs at first.
func TestTLS(t *testing.T) {
	f := newFixture(t)
	c := f.vault.As(vault.DefaultOwner)
	path := filepath.Join(t.TempDir(), "cert.pem")
	for _, spec := range []vault.KeySpec{vault.ECCP256, vault.ECCP384, vault.Ed25519, vault.RSA2048} {
		t.Run(string(spec), func(t *testing.T) {
			os.Remove(path)
			k, err := c.CreateKey(t.Context(), vault.KeyOptions{Spec: spec, Usage: vault.SignVerify})
			if err != nil {
				t.Fatal(err)
			}
			signer, err := c.Signer(t.Context(), k.ID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := TLSConfig(signer, path, []string{"127.0.0.1"}); err != nil {
				t.Fatal(err)
			}
			first, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			config, err := TLSConfig(signer, path, nil) // the file of the first use
			if err != nil {
				t.Fatal(err)
			}
			if again, err := os.ReadFile(path); err != nil || !bytes.Equal(first, again) {
				t.Errorf("the certificate changed: %v", err)
			}
			l := f.serve("127.0.0.1:0", Rules{Clients: f.cfg.Clients, TLS: config})
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(first)
			client := *f.tcp
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()
			client.URL, client.HTTP = "https://"+l.Addr().String(), &http.Client{Transport: transport}
			if err := f.encrypt(t.Context(), &client); err != nil {
				t.Error(err)
			}
			transport.TLSClientConfig.MaxVersion = tls.VersionTLS12
			transport.CloseIdleConnections()
			if err := f.encrypt(t.Context(), &client); err == nil {
				t.Error("TLS 1.2 is accepted")
			}
		})
	}
	plain := *f.tcp
	plain.URL = "https://" + f.address
	if err := f.encrypt(t.Context(), &plain); err == nil {
		t.Error("a plain port speaks TLS")
	}
}

// TestCertificateFiles refuses the certificate of another key, and what is no certificate.
func TestCertificateFiles(t *testing.T) {
	f := newFixture(t)
	c := f.vault.As(vault.DefaultOwner)
	signer := func(o vault.KeyOptions) *vault.Signer {
		k, err := c.CreateKey(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Signer(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two := signer(vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.SignVerify}), signer(vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.SignVerify})
	path := filepath.Join(t.TempDir(), "cert.pem")
	if _, err := TLSConfig(one, path, []string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	if _, err := TLSConfig(two, path, nil); !errors.Is(err, ErrCertificate) {
		t.Errorf("the certificate of another key: %v", err)
	}
	for _, text := range []string{"", "no PEM", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no DER")}))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := TLSConfig(one, path, nil); !errors.Is(err, ErrCertificate) {
			t.Errorf("the file %q: %v", text, err)
		}
	}
	sm2 := signer(vault.KeyOptions{Spec: vault.SM2, Usage: vault.SignVerify})
	if _, err := TLSConfig(sm2, filepath.Join(t.TempDir(), "cert.pem"), nil); !errors.Is(err, ErrCertificate) {
		t.Errorf("an SM2 key, which Go's TLS does not have: %v", err)
	}
}

// TestLoadClients checks which files of clients are accepted.
func TestLoadClients(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, append(bytes.Clone(credentialKey), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "clients.json")
	load := func(text string, mode fs.FileMode) (*Clients, error) {
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
		return LoadClients(t.Context(), path)
	}
	good := `{"peers": [{"uid": 0, "principal": "root"}], "credentials": [{"id": "AKID", "secret": "file:` + secret + `", "principal": "till"}]}`
	c, err := load(good, 0o644)
	if err != nil || len(c.Peers) != 1 || *c.Peers[0].UID != 0 || len(c.Credentials) != 1 || !bytes.Equal(c.Credentials[0].Key, credentialKey) || c.Credentials[0].Principal != "till" {
		t.Fatalf("a good file: %v", err)
	}
	c.Wipe()
	if !bytes.Equal(c.Credentials[0].Key, make([]byte, len(credentialKey))) {
		t.Error("Wipe leaves the secret")
	}
	for text, mode := range map[string]fs.FileMode{
		good: 0o666, ``: 0o600, `{`: 0o600, `{}`: 0o600, `{"peer": []}`: 0o600, good + `{"peers": []}`: 0o600, good + `x`: 0o600,
		`{"peers": [{"principal": "p"}]}`: 0o600, `{"peers": [{"uid": 1}]}`: 0o600, `{"peers": [{"uid": -1, "principal": "p"}]}`: 0o600,
		`{"credentials": [{"id": "i", "secret": "hunter2hunter2hunter2", "principal": "p"}]}`: 0o600,
		`{"credentials": [{"id": "i", "secret": "prompt", "principal": "p"}]}`:                0o600,
		`{"credentials": [{"id": "i", "secret": "file:/absent", "principal": "p"}]}`:          0o600,
	} {
		if _, err := load(text, mode); !errors.Is(err, ErrClients) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s of mode %o: %v", text, mode, err)
		}
	}
}

// owned is a file of a user.
type owned struct {
	fs.FileInfo
	uid int
}

func (owned) Mode() fs.FileMode { return 0o644 }
func (o owned) Sys() any        { return &syscall.Stat_t{Uid: uint32(o.uid)} }

// TestOwnerOfClients refuses a file that another user owns, which that user could write.
func TestOwnerOfClients(t *testing.T) {
	us := os.Geteuid()
	for uid, want := range map[int]bool{0: true, us: true, us + 1: false} {
		if err := onlyOurs(owned{uid: uid}); (err == nil) != want {
			t.Errorf("a file of the user %d: %v", uid, err)
		}
	}
}

// TestNotify sends a state to a service manager, and does nothing without one.
func TestNotify(t *testing.T) {
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	for _, name := range []string{filepath.Join(t.TempDir(), "n"), fmt.Sprint("@strongroom-test-", os.Getpid())} {
		address := name
		if name[0] == '@' {
			address = "\x00" + name[1:]
		}
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("NOTIFY_SOCKET", name)
		if err := Notify("READY=1"); err != nil {
			t.Error(err)
		}
		got := make([]byte, 100)
		if n, err := c.Read(got); err != nil || string(got[:n]) != "READY=1" {
			t.Errorf("%q, %v", got[:n], err)
		}
		c.Close()
	}
}
