package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/bindingrecords"
	"strongroom.example/vault/internal/inputtext"
)

const (
	// maxAlias is the maximum length of an alias.
	maxAlias = 250
	// maxAliases is the maximum number of aliases of a CMK, because its record has them all.
	maxAliases = 50
)

// Aliases returns all aliases of the CMK, the first of which is Alias. It returns nil if there
// are none.
func (k Key) Aliases() []string { return allAliases(k.Alias, k.OtherAliases) }

// allAliases returns the first alias and the others.
func allAliases(first string, others []string) []string {
	if first == "" {
		return nil
	}
	return append([]string{first}, others...)
}

// hasAlias reports whether the CMK has the alias.
func (k *Key) hasAlias(alias string) bool {
	return alias != "" && (k.Alias == alias || slices.Contains(k.OtherAliases, alias))
}

// changeKey runs an operation that changes the record of a CMK. edit receives the CMK as it
// is in the commit, so that concurrent changes are not lost, and returns the details for the
// audit record.
func (c Client) changeKey(ctx context.Context, q request, edit func(*keystore.Tx, *Key) (map[string]string, error)) error {
	return c.do(ctx, q, func(ctx context.Context, d *decision) error {
		return d.commit(ctx, commitPlan{check: stateAllows, change: func(tx *keystore.Tx) error { return d.changeRecord(tx, edit) }})
	})
}

// changeRecord changes the record of a CMK in a commit, as changeKey does. edit receives the CMK
// with expiry applied. Expiry itself is not stored, because the time may be in doubt: a CMK whose
// state edit does not change keeps the stored one.
func (d *decision) changeRecord(tx *keystore.Tx, edit func(*keystore.Tx, *Key) (map[string]string, error)) error {
	stored, err := keyInTx(tx, d.t.ID)
	if err != nil {
		return err
	}
	now := d.client.vault.view(stored)
	before := now.State
	if d.rec.Detail, err = edit(tx, &now.Key); err != nil {
		return err
	}
	if now.State == before {
		now.State = stored.State
	}
	tx.Put(keyPath(now.ID), encode(now.Key))
	return nil
}

// SetAlias replaces a CMK's first alias, Key.Alias, or gives the CMK its first one. The others
// remain. An alias that the CMK has already becomes the first. Errors: ErrExists if another CMK
// has the alias (MoveAlias moves it), ErrInvalid for a malformed alias (see KeyOptions),
// ErrTooLarge if the CMK's aliases, description and tags exceed the limit of KeyOptions.Tags.
func (c Client) SetAlias(ctx context.Context, key, alias string) error {
	return c.changeAliases(ctx, key, alias, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		detail := map[string]string{"alias": alias, "former": k.Alias}
		if k.Alias == alias {
			return detail, nil
		}
		return detail, setAliases(tx, k, append([]string{alias}, without(k.OtherAliases, alias)...))
	})
}

// AddAlias gives a CMK another alias, up to 50. Every alias names the CMK in all calls; lists
// show the first. It is authorized and recorded as SetAlias. Errors: those of SetAlias;
// ErrExists also if this CMK has the alias already; ErrTooLarge for more than 50.
func (c Client) AddAlias(ctx context.Context, key, alias string) error {
	return c.changeAliases(ctx, key, alias, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		if k.hasAlias(alias) {
			return nil, fmt.Errorf("%w: the key has the alias %q already", ErrExists, alias)
		}
		return map[string]string{"alias": alias}, setAliases(tx, k, append(k.Aliases(), alias))
	})
}

// changeAliases is changeKey for the operation SetAlias.
func (c Client) changeAliases(ctx context.Context, key, alias string, edit func(*keystore.Tx, *Key) (map[string]string, error)) error {
	if err := checkAlias(alias); err != nil {
		return c.argumentError(ctx, request{op: OpSetAlias, key: key}, err)
	}
	return c.changeKey(ctx, request{op: OpSetAlias, key: key, alias: alias}, edit)
}

// MoveAlias moves an alias from one CMK to another in one commit, so that the alias names a
// CMK at any time. It becomes the first alias of the other CMK; the other aliases of both
// remain. This is the way to replace keys that cannot be rotated (asymmetric and imported ones).
// The present CMK may be PendingDeletion, as for DeleteAlias, and the other may not. It is
// authorized as DeleteAlias on the present CMK and as SetAlias on the other, and writes a record
// for each. If the CMK has the alias already, nothing changes. Errors: those of AddAlias and
// DeleteAlias, except ErrExists; ErrNotFound if no CMK has the alias (use SetAlias).
func (c Client) MoveAlias(ctx context.Context, alias, key string) error {
	if err := checkAlias(alias); err != nil {
		return c.argumentError(ctx, request{op: OpSetAlias, key: key}, err)
	}
	q := request{op: OpSetAlias, key: key, alias: alias}
	return c.do(ctx, q, func(ctx context.Context, d *decision) error {
		from, err := c.vault.load(ctx, alias)
		if err != nil {
			return d.fail(ctx, err)
		}
		d.rec.Detail = map[string]string{"alias": alias}
		if from.ID == d.t.ID {
			return d.commit(ctx, commitPlan{check: unchanged})
		}
		released, err := c.decide(ctx, request{op: OpDeleteAlias, key: alias}, from)
		if err != nil {
			return err
		}
		d.rec.Detail["from"] = from.ID
		released.rec.Detail = map[string]string{"former": alias, "to": d.t.ID}
		to := *d.t
		return d.commit(ctx, commitPlan{check: unchanged, also: released, change: func(tx *keystore.Tx) error {
			if tx.Version(keyPath(from.ID)) != from.recordVersion || tx.Version(keyPath(to.ID)) != to.recordVersion {
				return errConflict
			}
			loser, err := keyInTx(tx, from.ID) // from and to have expiry applied, which is not stored
			if err != nil {
				return err
			}
			winner, err := keyInTx(tx, to.ID)
			if err != nil {
				return err
			}
			if err := setAliases(tx, &loser, without(loser.Aliases(), alias)); err != nil {
				return err
			}
			if err := setAliases(tx, &winner, append([]string{alias}, winner.Aliases()...)); err != nil {
				return err
			}
			tx.Put(keyPath(loser.ID), encode(loser))
			tx.Put(keyPath(winner.ID), encode(winner))
			return nil
		}})
	})
}

// DeleteAlias removes an alias of a CMK, which remains. key is the alias, or the id of a CMK
// that has only one. A CMK that is PendingDeletion can lose its aliases too, so that another
// CMK can have them before the DeletionDate. Errors: ErrNotFound if the CMK has no alias;
// ErrInvalid for the id of a CMK that has several.
func (c Client) DeleteAlias(ctx context.Context, key string) error {
	q := request{op: OpDeleteAlias, key: key}
	return c.changeKey(ctx, q, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		_, alias := q.name()
		switch {
		case alias != "" && !k.hasAlias(alias):
			return nil, errConflict // it was moved since the CMK was loaded
		case alias == "" && k.Alias == "":
			return nil, fmt.Errorf("%w: the key has no alias", ErrNotFound)
		case alias == "" && len(k.OtherAliases) > 0:
			return nil, invalid("the key has %d aliases; name the one to remove", len(k.Aliases()))
		case alias == "":
			alias = k.Alias
		}
		return map[string]string{"former": alias}, setAliases(tx, k, without(k.Aliases(), alias))
	})
}

// setAliases gives k these aliases in a commit, and removes those that it had besides. It
// returns ErrExists if another CMK has one of them.
func setAliases(tx *keystore.Tx, k *Key, all []string) error {
	if len(all) > maxAliases {
		return fmt.Errorf("%w: the key has %d aliases, which is the limit", ErrTooLarge, maxAliases)
	}
	for _, former := range k.Aliases() {
		if !slices.Contains(all, former) {
			tx.Delete(aliasPath(former))
		}
	}
	for _, alias := range all {
		if k.hasAlias(alias) {
			continue
		}
		if tx.Version(aliasPath(alias)) != 0 {
			return fmt.Errorf("%w: alias %q; MoveAlias moves it from the key that has it", ErrExists, alias)
		}
		tx.Put(aliasPath(alias), []byte(k.ID))
	}
	k.Alias, k.OtherAliases = "", nil
	if len(all) > 0 {
		k.Alias = all[0]
	}
	if len(all) > 1 {
		k.OtherAliases = all[1:]
		return checkText(*k)
	}
	return nil
}

// without returns a copy of aliases without one of them.
func without(aliases []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(aliases), func(a string) bool { return a == one })
}

// hasAliasWith reports whether one of the CMK's aliases, or "" if it has none, begins with
// prefix.
func (k *Key) hasAliasWith(prefix string) bool {
	begins := func(alias string) bool { return strings.HasPrefix(alias, prefix) }
	return begins(k.Alias) || slices.ContainsFunc(k.OtherAliases, begins)
}

// checkAlias returns what is wrong with an alias.
func checkAlias(a string) error { return inputtext.CheckName("an alias", a, maxAlias, "_-/:") }

// SetDescription sets a CMK's description of at most 1024 bytes. Errors: ErrTooLarge for
// the description alone or together with the tags (see KeyOptions), ErrInvalid if it is not
// UTF-8.
func (c Client) SetDescription(ctx context.Context, key, description string) error {
	if err := checkText(Key{Description: description}); err != nil {
		return c.argumentError(ctx, request{op: OpSetDescription, key: key}, err)
	}
	return c.changeKey(ctx, request{op: OpSetDescription, key: key}, func(_ *keystore.Tx, k *Key) (map[string]string, error) {
		k.Description = description
		return nil, checkText(*k)
	})
}

// TagKey adds tags to a CMK, replacing those with the same key. It returns ErrInvalid or
// ErrTooLarge beyond the limits of KeyOptions.Tags.
func (c Client) TagKey(ctx context.Context, key string, tags map[string]string) error {
	tags, err := inputtext.CopyTags(tags)
	if err != nil {
		return c.argumentError(ctx, request{op: OpTagKey, key: key}, err)
	}
	return c.changeKey(ctx, request{op: OpTagKey, key: key, tags: tags}, func(_ *keystore.Tx, k *Key) (map[string]string, error) {
		all := map[string]string{}
		maps.Copy(all, k.Tags)
		maps.Copy(all, tags)
		k.Tags = all
		return map[string]string{"tags": fmt.Sprint(len(all))}, checkText(*k)
	})
}

// UntagKey removes tags by their keys. A tag that does not exist is not an error, so the
// call can be repeated.
func (c Client) UntagKey(ctx context.Context, key string, names ...string) error {
	if len(names) > inputtext.MaxTags {
		return c.argumentError(ctx, request{op: OpUntagKey, key: key}, invalid("%d names of tags, the limit is %d", len(names), inputtext.MaxTags))
	}
	names = slices.Clone(names)
	return c.changeKey(ctx, request{op: OpUntagKey, key: key}, func(_ *keystore.Tx, k *Key) (map[string]string, error) {
		left := maps.Clone(k.Tags)
		for _, name := range names {
			delete(left, name)
		}
		k.Tags = left
		return map[string]string{"tags": fmt.Sprint(len(left))}, nil
	})
}

// maxText is the maximum size of description, tags and other aliases as JSON. It leaves room in
// the record for the CMK's other fields, whatever they become.
const maxText = keystore.MaxValue - 2<<10

// checkText returns what is wrong with a CMK's description, tags and other aliases.
func checkText(k Key) error {
	if err := inputtext.Check(k.Description, k.Tags); err != nil {
		return err
	}
	if n := len(encode(Key{Description: k.Description, Tags: k.Tags, OtherAliases: k.OtherAliases})); n > maxText {
		return fmt.Errorf("%w: description, tags and aliases have %d bytes as JSON, the limit is %d", ErrTooLarge, n, maxText)
	}
	return nil
}

// A Binding says that a resource uses a CMK.
type Binding struct {
	// Resource is the name that the program gave the user of the CMK, such as a database.
	Resource string    `json:"resource"`
	Created  time.Time `json:"created"`
	Creator  Principal `json:"creator"`
}

// BindResource registers a resource as a user of a CMK: 1 to 256 bytes of printable UTF-8. A
// CMK has at most 50. As long as one is bound, DisableKeys, ArchiveKey, ScheduleKeyDeletion
// and DeleteImportedKeyMaterial fail with ErrKeyBound. The expiry of imported material does
// not change. A resource that is bound already is not an error, so the call can be repeated.
// Errors: ErrInvalid for the name; ErrTooLarge; ErrKeyState unless the CMK is Enabled or
// Archived; ErrDenied.
func (c Client) BindResource(ctx context.Context, key, resource string) error {
	return c.changeBindings(ctx, request{op: OpBindResource, key: key, resource: resource}, func(b *bindingrecords.Bindings) error {
		return b.Add(bindingrecords.Binding{Resource: resource, Created: c.vault.clock.Now().UTC(), Creator: string(c.principal)})
	})
}

// UnbindResource ends the registration of a resource by BindResource. Errors: ErrNotFound if
// the resource is not bound; ErrInvalid for the name; ErrKeyState; ErrDenied.
func (c Client) UnbindResource(ctx context.Context, key, resource string) error {
	return c.changeBindings(ctx, request{op: OpUnbindResource, key: key, resource: resource}, func(b *bindingrecords.Bindings) error {
		return b.Remove(resource)
	})
}

// ListBindings returns the resources that are bound to a CMK, ordered by name.
func (c Client) ListBindings(ctx context.Context, key string) ([]Binding, error) {
	return useKey(ctx, c, request{op: OpListBindings, key: key}, func(ctx context.Context, d *decision) (out []Binding, err error) {
		stored, err := bindingrecords.Read(storeReader{c.vault.store, ctx}, d.t.ID)
		for _, b := range stored.Resources {
			out = append(out, Binding{b.Resource, b.Created, Principal(b.Creator)})
		}
		return out, err
	}, nil)
}

// changeBindings runs an operation that changes the bindings of a CMK, and not its record.
func (c Client) changeBindings(ctx context.Context, q request, edit func(*bindingrecords.Bindings) error) error {
	if err := bindingrecords.CheckResource(q.resource); err != nil {
		q.resource = ""
		return c.argumentError(ctx, q, err)
	}
	return c.do(ctx, q, func(ctx context.Context, d *decision) error {
		d.rec.Detail = map[string]string{"resource": q.resource}
		return d.commit(ctx, commitPlan{check: stateAllows, change: func(tx *keystore.Tx) error {
			b, err := bindingrecords.Read(tx, d.t.ID)
			if err != nil {
				return err
			}
			if err := edit(&b); err != nil {
				return err
			}
			b.Store(tx, d.t.ID)
			return nil
		}})
	})
}
