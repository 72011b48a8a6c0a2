package awskms

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"strongroom.example/vault"
)

type aliasParams struct {
	AliasName   string `need:"value"`
	TargetKeyId string `need:"value" max:"2048"`
}

// parse returns the name of the alias and the id of its CMK.
func (p *aliasParams) parse(c call) (alias, id string, err error) {
	if err := c.handler.checkAlias(p.AliasName, invalidAliasName); err != nil {
		return "", "", err
	}
	id, err = keyParam{p.TargetKeyId}.id(c)
	return strings.TrimPrefix(p.AliasName, aliasPrefix), id, err
}

func createAlias(c call, p *aliasParams) (reply, error) {
	alias, id, err := p.parse(c)
	if err != nil {
		return reply{}, err
	}
	return reply{}, tooMany(c.AddAlias(c, id, alias))
}

func updateAlias(c call, p *aliasParams) (reply, error) {
	alias, id, err := p.parse(c)
	if err != nil {
		return reply{}, err
	}
	if err := c.sameType(alias, id); err != nil {
		return reply{}, err
	}
	return reply{}, tooMany(c.MoveAlias(c, alias, id))
}

// sameType returns an error unless two CMKs have the same type and usage. The service moves an
// alias only between such, so that programs that use the alias go on. The usages of the vault
// differ for symmetric, asymmetric and HMAC keys, so that comparing them is enough. A request that
// gives the alias to another CMK meanwhile is not noticed.
func (c call) sameType(name, other string) error {
	from, err := c.existing(name)
	if err != nil {
		return err
	}
	to, err := c.existing(other)
	if err == nil && from.Usage != to.Usage {
		err = failure{validation, "The alias is of a key of another type or key usage; delete the alias and create it for the new key."}
	}
	return err
}

// tooMany returns the error of a CMK that gets an alias.
func tooMany(err error) error {
	if errors.Is(err, vault.ErrTooLarge) {
		return failure{limitExceeded, "The key has as many aliases as the vault stores."}
	}
	return err
}

type deleteAliasParams struct {
	AliasName string `need:"value"`
}

func deleteAlias(c call, p *deleteAliasParams) (reply, error) {
	if err := c.handler.checkAlias(p.AliasName, notFound); err != nil {
		return reply{}, err
	}
	return reply{}, c.DeleteAlias(c, strings.TrimPrefix(p.AliasName, aliasPrefix))
}

type listAliasesParams struct {
	KeyId  string `max:"2048"`
	Limit  *int64 `range:"1-100"`
	Marker string `max:"1024"`
}

type aliasEntry struct{ AliasName, AliasArn, TargetKeyId string }

// An aliasPosition is an alias in the order of the list: by the id of the CMK, then by name.
type aliasPosition struct{ id, alias string }

func (p aliasPosition) compare(q aliasPosition) int {
	return cmp.Or(strings.Compare(p.id, q.id), strings.Compare(p.alias, q.alias))
}

// listAliases reads a page of CMKs, so that a page of aliases may be empty although another one
// follows. If the CMKs have more aliases than the page, the marker is that of the same page of
// CMKs, with the position of the last alias.
func listAliases(c call, p *listAliasesParams) (reply, error) {
	token, after, err := p.position()
	if err != nil {
		return reply{}, err
	}
	keys, next, err := p.keys(c, token)
	if err != nil {
		return reply{}, err
	}
	list, most := []aliasEntry{}, limit(p.Limit, 50)
	var last aliasPosition
	for _, k := range keys {
		for _, alias := range slices.Sorted(slices.Values(k.Aliases())) {
			at := aliasPosition{k.ID, alias}
			if k.State == vault.Destroyed || at.compare(after) <= 0 {
				continue
			}
			if len(list) == most {
				return aliasPage(list, strings.Join([]string{token, last.id, last.alias}, "."))
			}
			list, last = append(list, aliasEntry{aliasPrefix + alias, c.handler.arn(aliasPrefix + alias), k.ID}), at
		}
	}
	return aliasPage(list, next)
}

// position returns the token of the page of CMKs, and the alias behind which the page begins.
func (p *listAliasesParams) position() (token string, after aliasPosition, err error) {
	parts := strings.SplitN(p.Marker, ".", 3)
	if len(parts) == 3 {
		after = aliasPosition{parts[1], parts[2]}
	}
	if len(parts) == 2 || p.KeyId != "" && parts[0] != "" {
		return "", after, failure{invalidMarker, "The marker is not one of this list."}
	}
	return parts[0], after, nil
}

// keys returns the CMK that the request names, or a page of all.
func (p *listAliasesParams) keys(c call, token string) (keys []vault.Key, next string, err error) {
	if p.KeyId == "" {
		page, err := c.ListKeysPage(c, vault.KeyFilter{}, vault.PageRequest{Limit: limit(p.Limit, 50), Token: token})
		return page.Keys, page.Next, err
	}
	id, err := keyParam{p.KeyId}.id(c)
	if err != nil {
		return nil, "", err
	}
	k, err := c.existing(id)
	return []vault.Key{k}, "", err
}

func aliasPage(list []aliasEntry, next string) (reply, error) {
	return reply{fields: struct {
		Aliases []aliasEntry
		page
	}{list, page{next, next != ""}}}, nil
}
