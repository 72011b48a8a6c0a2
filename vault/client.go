package vault

import "fmt"

// A Client gives one principal access to a vault; every operation is a method of Client. It
// is a small value and can be copied. Every operation of the zero Client fails with
// ErrDenied.
type Client struct {
	vault     *Vault
	principal Principal
}

// As returns the client through which p acts. If p is not a valid Principal, every
// operation of the client fails with ErrDenied.
func (v *Vault) As(p Principal) Client { return Client{v, p} }

// known returns ErrDenied for a client without a vault or principal, and for a principal
// whose name the audit log could not tell apart from others.
func (c Client) known() error {
	if c.vault == nil || c.principal == "" {
		return fmt.Errorf("%w: no principal; use Vault.As", ErrDenied)
	}
	if fault := c.principal.fault(); fault != "" {
		return fmt.Errorf("%w: %s", ErrDenied, fault)
	}
	return nil
}
