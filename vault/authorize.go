package vault

import "context"

// A Principal is who acts. The program decides what the names mean and has
// authenticated them; the vault decides what they may do, and records it.
type Principal string

// DefaultOwner is the owner of a vault whose Config names no other.
const DefaultOwner Principal = "owner"

// A Request is one operation before it is allowed.
type Request struct {
	Principal Principal
	Operation Operation
	// Key is the CMK's id; empty for operations on the whole vault.
	Key string
	// Alias and Tags are the CMK's. Of a CMK that is not there, Key or Alias is what was
	// asked for, and the other is empty: who is denied is told the same as if it were there.
	Alias string
	Tags  map[string]string
	// Context is the encryption context, where the operation has one.
	Context EncryptionContext
}

// A Decision is the answer to a Request.
type Decision struct {
	Allow bool
	// Rule names what decided, for the audit; at most 128 bytes.
	Rule string
}

// An Authorizer decides requests. It is called from many goroutines, changes
// nothing in the request, and does not call the vault. An error denies.
type Authorizer interface {
	Authorize(ctx context.Context, r Request) (Decision, error)
}

// ownerOnly is the Authorizer of a vault that was given none: the owner may do
// everything, all others nothing.
type ownerOnly struct{ owner Principal }

func (a ownerOnly) Authorize(_ context.Context, r Request) (Decision, error) {
	return Decision{Allow: r.Principal == a.owner, Rule: "owner"}, nil
}
