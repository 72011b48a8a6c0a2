package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"strongroom.example/internal/redact"
	"strongroom.example/internal/secretsource"
	"strongroom.example/internal/suite"
	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
	"strongroom.example/vault/tencentkms"
)

// ErrClients reports a file of clients that cannot be used. The text says why.
var ErrClients = errors.New("the file of clients")

// Clients are the clients of a Server. They hold secrets, which Wipe wipes, and print
// redacted.
type Clients struct {
	redact.Secret
	// Peers are the users of a Unix socket. The first that matches decides.
	Peers []Peer
	// Credentials sign requests.
	Credentials []Credential
}

// A Peer maps a user or a group of the system to a principal. If both are set, both must
// match.
type Peer struct {
	// UID is the user id of the process, and GID the id of its primary group.
	UID *uint32 `json:"uid"`
	GID *uint32 `json:"gid"`
	// Principal is the principal of its requests.
	Principal vault.Principal `json:"principal"`
}

// A Credential is an id with a secret key by which a client signs its requests.
type Credential struct {
	redact.Secret
	ID        string
	Key       []byte
	Principal vault.Principal
}

// clientsFile is the JSON form of Clients.
type clientsFile struct {
	Peers       []Peer `json:"peers"`
	Credentials []struct {
		ID        string          `json:"id"`
		Secret    string          `json:"secret"`
		Principal vault.Principal `json:"principal"`
	} `json:"credentials"`
}

// LoadClients reads a file of clients and the secrets that it names. It refuses a file that
// other users own or may write, because they could become any principal. The caller calls Wipe.
func LoadClients(ctx context.Context, path string) (*Clients, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClients, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClients, err)
	}
	if err := onlyOurs(info); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrClients, path, err)
	}
	d := json.NewDecoder(io.LimitReader(f, 1<<20))
	d.DisallowUnknownFields()
	var file clientsFile
	err = d.Decode(&file)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("something stands behind the object")
	}
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrClients, path, err)
	}
	c := &Clients{Peers: file.Peers}
	if err := c.check(); err != nil {
		return nil, err
	}
	for _, from := range file.Credentials {
		key, err := readSecret(ctx, from.Secret)
		if err != nil {
			c.Wipe()
			return nil, fmt.Errorf("%w: the secret of %q: %w", ErrClients, from.ID, err)
		}
		c.Credentials = append(c.Credentials, Credential{ID: from.ID, Key: key, Principal: from.Principal})
	}
	if len(c.Peers)+len(c.Credentials) == 0 {
		return nil, fmt.Errorf("%w %s names no client: it needs peers or credentials", ErrClients, path)
	}
	return c, nil
}

// check checks the peers. tencentkms.New checks the credentials.
func (c *Clients) check() error {
	for i, p := range c.Peers {
		switch {
		case p.UID == nil && p.GID == nil:
			return fmt.Errorf("%w: peer %d has neither a uid nor a gid", ErrClients, i+1)
		case p.Principal == "":
			return fmt.Errorf("%w: peer %d has no principal", ErrClients, i+1)
		}
	}
	if len(c.Peers) > 0 && !peersSupported {
		return fmt.Errorf("%w: %w", ErrClients, ErrPeers)
	}
	return nil
}

// readSecret reads a secret key from file:PATH, fd:NUMBER or systemd:NAME.
func readSecret(ctx context.Context, source string) ([]byte, error) {
	kind := secretsource.Kind{Name: "secret key", Max: 1024}
	from, err := secretsource.ParseUnattended(source, kind)
	if err != nil {
		return nil, err
	}
	return from.Read(ctx, kind)
}

// Wipe wipes the secret keys.
func (c *Clients) Wipe() {
	if c == nil {
		return
	}
	for _, k := range c.Credentials {
		suite.Wipe(k.Key)
	}
}

// peer returns the principal of a peer.
func (c *Clients) peer(id peerID) (vault.Principal, bool) {
	for _, p := range c.Peers {
		if (p.UID == nil || *p.UID == id.UID) && (p.GID == nil || *p.GID == id.GID) {
			return p.Principal, true
		}
	}
	return "", false
}

// tencent returns the credentials for the API of Tencent Cloud.
func (c *Clients) tencent() []tencentkms.Credential {
	var out []tencentkms.Credential
	for _, k := range c.Credentials {
		out = append(out, tencentkms.Credential{SecretID: k.ID, SecretKey: k.Key, Principal: k.Principal})
	}
	return out
}

// aws returns the credentials for the API of AWS.
func (c *Clients) aws() []awskms.Credential {
	var out []awskms.Credential
	for _, k := range c.Credentials {
		out = append(out, awskms.Credential{AccessKeyID: k.ID, SecretAccessKey: k.Key, Principal: k.Principal})
	}
	return out
}
