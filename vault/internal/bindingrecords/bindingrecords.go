// Package bindingrecords keeps the record of the resources that are bound to a CMK. These are its
// named users: as long as there is one, the CMK cannot be disabled, archived or deleted.
package bindingrecords

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/record"
)

const (
	// MaxResource is the maximum length of the name of a resource in bytes.
	MaxResource = 256
	// Limit is the maximum number of resources that are bound to one CMK, because one record
	// has them all.
	Limit = 50
)

// A Binding says that a resource uses a CMK.
type Binding struct {
	Resource string    `json:"resource"`
	Created  time.Time `json:"created"`
	// Creator is a vault.Principal.
	Creator string `json:"creator"`
}

// Bindings is the stored record of the resources that are bound to a CMK. There is none if no
// resource is bound.
type Bindings struct {
	// Resources is ordered by name.
	Resources []Binding `json:"resources"`
}

// Path returns the path of the record of a CMK.
func Path(key string) string { return "binding/" + key }

// Read reads the bindings of a CMK, which may be none.
func Read(r record.Reader, key string) (Bindings, error) {
	return record.ReadIf[Bindings](r, Path(key))
}

// Store stores the bindings of a CMK, or deletes the record if there are none.
func (b Bindings) Store(tx *keystore.Tx, key string) {
	if len(b.Resources) == 0 {
		tx.Delete(Path(key))
		return
	}
	tx.Put(Path(key), record.Encode(b))
}

// Add adds a binding, unless the resource is bound already. It returns ErrTooLarge for more than
// Limit resources.
func (b *Bindings) Add(one Binding) error {
	i, bound := b.find(one.Resource)
	if bound {
		return nil
	}
	if len(b.Resources) == Limit {
		return fmt.Errorf("%w: %d resources are bound to the key, which is the limit", fault.ErrTooLarge, Limit)
	}
	b.Resources = slices.Insert(b.Resources, i, one)
	return nil
}

// Remove removes the binding of a resource. It returns ErrNotFound if the resource is not bound.
func (b *Bindings) Remove(resource string) error {
	i, bound := b.find(resource)
	if !bound {
		return fmt.Errorf("%w: resource %s is not bound to the key; ListBindings lists those that are", fault.ErrNotFound, inputtext.Quote(resource))
	}
	b.Resources = slices.Delete(b.Resources, i, i+1)
	return nil
}

// find returns the place of a resource, and whether it is bound.
func (b Bindings) find(resource string) (int, bool) {
	return slices.BinarySearchFunc(b.Resources, resource, func(b Binding, name string) int { return strings.Compare(b.Resource, name) })
}

// CheckUnbound returns ErrKeyBound if a resource is bound to the CMK.
func CheckUnbound(r record.Reader, key string) error {
	b, err := Read(r, key)
	if err != nil || len(b.Resources) == 0 {
		return err
	}
	return fmt.Errorf("%w: %d, among them %s; UnbindResource removes one", fault.ErrKeyBound, len(b.Resources), inputtext.Quote(b.Resources[0].Resource))
}

// CheckResource returns what is wrong with the name of a resource.
func CheckResource(name string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(name) < 1 || len(name) > MaxResource || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return fault.Invalid("the name of a resource has 1 to %d bytes of printable UTF-8", MaxResource)
	}
	return nil
}
