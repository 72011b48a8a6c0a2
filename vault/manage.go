package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"strongroom.example/keystore"
)

// EnableKeys enables CMKs, at most 100, each as an operation of its own. It stops at the
// first error and returns it.
func (c Client) EnableKeys(ctx context.Context, keys ...string) error {
	return c.setStates(ctx, OpEnableKey, Enabled, keys)
}

// DisableKeys disables CMKs, at most 100, each as an operation of its own. A disabled CMK
// cannot be used until it is enabled again. After DisableKeys has returned nil, the vault
// releases no result of these CMKs. It stops at the first error and returns it.
func (c Client) DisableKeys(ctx context.Context, keys ...string) error {
	return c.setStates(ctx, OpDisableKey, Disabled, keys)
}

func (c Client) setStates(ctx context.Context, op Operation, to KeyState, keys []string) error {
	if err := orElse(c.known(), checkKeys(keys)); err != nil {
		return c.reject(ctx, request{op: op}, err)
	}
	for _, key := range slices.Clone(keys) {
		err := c.alter(ctx, request{op: op, key: key}, func(_ *keystore.Tx, k *Key) (map[string]string, error) {
			detail := map[string]string{"from": string(k.State), "to": string(to)}
			k.State = to
			return detail, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// alter changes a CMK's record in the same batch as its audit record. edit receives the CMK
// as it is in that batch, so that concurrent changes are not lost, and returns the details
// for the audit record.
func (c Client) alter(ctx context.Context, q request, edit func(*keystore.Tx, *Key) (map[string]string, error)) error {
	return c.onKey(ctx, q, func(_ context.Context, t *target, e *entry) error {
		e.alters = true
		e.change = func(tx *keystore.Tx) error {
			now, err := c.vault.shownIn(tx, t.ID)
			if err != nil {
				return err
			}
			detail, err := edit(tx, &now.Key)
			if err != nil {
				return err
			}
			e.rec.Detail = detail
			tx.Put(keyPath(now.ID), encode(now.Key))
			return nil
		}
		return nil
	})
}

// SetAlias sets a CMK's alias and removes its former one. Errors: ErrExists if another CMK
// has the alias (MoveAlias moves it), ErrInvalid for a malformed alias (see KeyOptions).
func (c Client) SetAlias(ctx context.Context, key, alias string) error {
	if err := checkAlias(alias); err != nil {
		return c.reject(ctx, request{op: OpSetAlias, key: key}, err)
	}
	return c.alter(ctx, request{op: OpSetAlias, key: key, alias: alias}, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		detail := map[string]string{"alias": alias, "former": k.Alias}
		if k.Alias == alias {
			return detail, nil
		}
		if tx.Version(aliasPath(alias)) != 0 {
			return nil, fmt.Errorf("%w: alias %q; MoveAlias takes it from the key that has it", ErrExists, alias)
		}
		rename(tx, k, alias)
		return detail, nil
	})
}

// rename gives k the alias in a commit, and removes its former one.
func rename(tx *keystore.Tx, k *Key, alias string) {
	if k.Alias != "" {
		tx.Delete(aliasPath(k.Alias))
	}
	tx.Put(aliasPath(alias), []byte(k.ID))
	k.Alias = alias
}

// MoveAlias moves an alias from one CMK to another in one commit, so that the alias names a
// CMK at any time. This is the way to replace keys that cannot be rotated (asymmetric and
// imported ones). It is authorized as DeleteAlias on the present CMK and as SetAlias on the
// other, and writes a record for each. If the CMK has the alias already, nothing changes.
// Errors: those of SetAlias and DeleteAlias; ErrNotFound if no CMK has the alias (use
// SetAlias).
func (c Client) MoveAlias(ctx context.Context, alias, key string) error {
	if err := checkAlias(alias); err != nil {
		return c.reject(ctx, request{op: OpSetAlias, key: key}, err)
	}
	q := request{op: OpSetAlias, key: key, alias: alias}
	return c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) error {
		from, err := c.vault.load(ctx, alias)
		if err != nil {
			return err
		}
		e.rec.Detail = map[string]string{"alias": alias, "former": t.Alias}
		if from.ID == t.ID {
			return nil
		}
		released, err := c.decide(ctx, request{op: OpDeleteAlias, key: alias}, from)
		if err != nil {
			e.settled = true // decide recorded the refusal
			return err
		}
		e.rec.Detail["from"] = from.ID
		released.rec.Detail = map[string]string{"former": alias, "to": t.ID}
		e.change = func(tx *keystore.Tx) error {
			if tx.Version(keyPath(from.ID)) != from.record || tx.Version(keyPath(t.ID)) != t.record {
				return errStale
			}
			loser, winner := from.Key, t.Key
			loser.Alias = ""
			rename(tx, &winner, alias)
			tx.Put(keyPath(loser.ID), encode(loser))
			tx.Put(keyPath(winner.ID), encode(winner))
			c.vault.note(tx, released.rec)
			return nil
		}
		return nil
	})
}

// DeleteAlias removes a CMK's alias; the CMK remains. It returns ErrNotFound if the CMK has
// none.
func (c Client) DeleteAlias(ctx context.Context, key string) error {
	return c.alter(ctx, request{op: OpDeleteAlias, key: key}, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		if k.Alias == "" {
			return nil, fmt.Errorf("%w: the key has no alias", ErrNotFound)
		}
		tx.Delete(aliasPath(k.Alias))
		detail := map[string]string{"former": k.Alias}
		k.Alias = ""
		return detail, nil
	})
}

// SetDescription sets a CMK's description of at most 1024 bytes. Errors: ErrTooLarge for
// the description alone or together with the tags (see KeyOptions), ErrInvalid if it is not
// UTF-8.
func (c Client) SetDescription(ctx context.Context, key, description string) error {
	if err := checkText(description, nil); err != nil {
		return c.reject(ctx, request{op: OpSetDescription, key: key}, err)
	}
	return c.alter(ctx, request{op: OpSetDescription, key: key}, func(_ *keystore.Tx, k *Key) (map[string]string, error) {
		k.Description = description
		return nil, checkText(description, k.Tags)
	})
}

// TagKey adds tags to a CMK, replacing those with the same key. It returns ErrInvalid or
// ErrTooLarge beyond the limits of KeyOptions.Tags.
func (c Client) TagKey(ctx context.Context, key string, tags map[string]string) error {
	tags, err := ownTags(tags)
	if err != nil {
		return c.reject(ctx, request{op: OpTagKey, key: key}, err)
	}
	return c.alter(ctx, request{op: OpTagKey, key: key, tags: tags}, func(_ *keystore.Tx, k *Key) (map[string]string, error) {
		all := maps.Clone(tags)
		for name, value := range k.Tags {
			if _, replaced := tags[name]; !replaced {
				all[name] = value
			}
		}
		k.Tags = all
		return map[string]string{"tags": fmt.Sprint(len(all))}, checkText(k.Description, all)
	})
}

// UntagKey removes tags by their keys. A tag that does not exist is not an error, so the
// call can be repeated.
func (c Client) UntagKey(ctx context.Context, key string, names ...string) error {
	if len(names) > maxTags {
		return c.reject(ctx, request{op: OpUntagKey, key: key}, invalid("%d names of tags, the limit is %d", len(names), maxTags))
	}
	names = slices.Clone(names)
	return c.alter(ctx, request{op: OpUntagKey, key: key}, func(_ *keystore.Tx, k *Key) (map[string]string, error) {
		left := maps.Clone(k.Tags)
		for _, name := range names {
			delete(left, name)
		}
		k.Tags = left
		return map[string]string{"tags": fmt.Sprint(len(left))}, nil
	})
}
