package vault

import "fmt"

// A Client is a vault as one principal sees it; every operation hangs on it. It is
// a small value. The zero Client is denied everything.
type Client struct {
	vault     *Vault
	principal Principal
}

// As returns the client through which p acts. What is no Principal is denied everything.
func (v *Vault) As(p Principal) Client { return Client{v, p} }

// known returns ErrDenied for a client without vault or principal, or with a principal
// that cannot be told from others in the audit.
func (c Client) known() error {
	if c.vault == nil || c.principal == "" {
		return fmt.Errorf("%w: no principal; use Vault.As", ErrDenied)
	}
	if fault := c.principal.fault(); fault != "" {
		return fmt.Errorf("%w: %s", ErrDenied, fault)
	}
	return nil
}
