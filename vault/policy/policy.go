// Package policy decides the requests of a vault by policies in the language Cedar
// (https://www.cedarpolicy.com). The policies are stored in the vault, versioned and audited:
//
//	v, err := vault.Open(ctx, dir, vault.Config{Policies: policy.Cedar{}}, protector)
//	_, err = policy.Put(ctx, v.As(vault.DefaultOwner), policy.Set{
//		Cedar: `@id("operator") permit(principal == Principal::"operator", action, resource);
//			@id("app") permit(principal in Group::"apps", action == Action::"Encrypt", resource);`,
//		Groups: map[string][]vault.Principal{"apps": {"billing"}},
//	})
//
// Without Config.Authorizer, only the owner can store the first policies. Afterwards the owner has the permissions that
// the policies give to it, and no others. PutPolicy refuses policies that permit PutPolicy to
// no principal.
//
// A request that no policy permits is denied, and a policy that forbids takes precedence over all that
// permit. Schema has the entities, actions and attributes. A program that does not import
// this package does not link Cedar.
package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"strongroom.example/vault"
)

// A Set is a set of policies with the groups of principals that they name. It is what one
// PutPolicy stores.
type Set struct {
	// Cedar is the text of the policies. The annotation @id names a policy in audit records;
	// a policy without it is named policy0, policy1 and so on, by its place in the text.
	// @description may have any text. Other annotations are rejected.
	//
	// @approvals("2") on a policy that permits means that so many other principals must first
	// have approved the operation with vault.Client.Approve, and @within("30m") within which
	// time; see vault.Decision. An approval is for one subject, such as the driver of MoveKey (see
	// vault.Approval); with @subject("any") approvals without a subject count too. If several
	// policies permit, the one with the fewest approvals decides.
	Cedar string
	// Groups are the principals of each group, by the group's name. Policies refer to a group
	// as Group::"name".
	Groups map[string][]vault.Principal
}

// document is the stored form of a Set.
type document struct {
	Format int                          `json:"format"`
	Cedar  string                       `json:"cedar"`
	Groups map[string][]vault.Principal `json:"groups,omitempty"`
}

// documentFormat is the number of the stored form.
const documentFormat = 1

// Encode returns the document of a Set, for vault.Client.PutPolicy.
func (s Set) Encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(document{documentFormat, s.Cedar, s.Groups}); err != nil {
		panic("policy: " + err.Error()) // a struct of strings can be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Decode returns the Set of a document.
func Decode(encoded []byte) (Set, error) {
	d := json.NewDecoder(bytes.NewReader(encoded))
	d.DisallowUnknownFields()
	var doc document
	if err := d.Decode(&doc); err != nil {
		return Set{}, fmt.Errorf("the document is not that of a policy.Set: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Set{}, errors.New("the document has data behind the policies")
	}
	if doc.Format != documentFormat {
		return Set{}, fmt.Errorf("the document has format %d; this version of the package reads format %d", doc.Format, documentFormat)
	}
	return Set{doc.Cedar, doc.Groups}, nil
}

// Put makes s the policies of the vault. A fault of the policies is an error that wraps
// vault.ErrInvalid and one *Fault for each. Other errors: those of vault.Client.PutPolicy.
func Put(ctx context.Context, c vault.Client, s Set) (vault.PolicyVersion, error) {
	return c.PutPolicy(ctx, s.Encode())
}

// Get returns a version of the vault's policies; 0 means the version in force. Errors: those
// of vault.Client.Policy; vault.ErrInvalid if the document is not that of a Set.
func Get(ctx context.Context, c vault.Client, number uint64) (Set, vault.PolicyVersion, error) {
	n, encoded, err := c.Policy(ctx, number)
	if err != nil {
		return Set{}, n, err
	}
	s, err := Decode(encoded)
	if err != nil {
		return Set{}, n, fmt.Errorf("%w: %w", vault.ErrInvalid, err)
	}
	return s, n, nil
}

// Cedar is the engine of these policies, for vault.Config.Policies.
type Cedar struct{}

// Compile implements vault.PolicyEngine. Its errors wrap one *Fault for each fault of the
// policies.
func (Cedar) Compile(encoded []byte) (vault.Policies, error) {
	s, err := Decode(encoded)
	if err != nil {
		return nil, err
	}
	return compile(s)
}
