package vaultmodel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/vault"
)

const (
	// maxAliases is the maximum number of aliases of a CMK.
	maxAliases = 50
	// aliasNames is how many different aliases there are in one vault. Most steps draw from the
	// first contestedAliases of them, so that CMKs compete for them.
	aliasNames, contestedAliases = 60, 12
)

// aliasActions are the steps on the aliases of a CMK.
var aliasActions = []keyAction{
	{"set alias", 4, (*system).setAlias},
	{"add alias", 8, (*system).addAlias},
	{"move alias", 6, (*system).moveAlias},
	{"delete alias", 3, (*system).deleteAlias},
	{"delete only alias", 2, (*system).deleteOnlyAlias},
	{"fill aliases", 1, (*system).fillAliases},
}

func aliasName(n int) string { return fmt.Sprintf("alias-%d", n) }

// anyAlias draws one of the contested aliases.
func (x *system) anyAlias() string {
	return aliasName(unbiased.Draw(x.T, "alias") % contestedAliases)
}

// owner returns the CMK that has an alias, or nil.
func (x *system) owner(alias string) *keyModel {
	i := slices.IndexFunc(x.keys, func(k *keyModel) bool { return slices.Contains(k.aliases, alias) })
	if i < 0 {
		return nil
	}
	return x.keys[i]
}

// nameOf draws the id or an alias of a CMK, by which a step names it.
func (x *system) nameOf(k *keyModel) string {
	n := unbiased.Draw(x.T, "name") % (len(k.aliases) + 1)
	if n == 0 {
		return k.id
	}
	return k.aliases[n-1]
}

// without returns a copy of aliases without one of them.
func without(aliases []string, alias string) []string {
	return slices.DeleteFunc(slices.Clone(aliases), func(a string) bool { return a == alias })
}

func (x *system) setAlias(k *keyModel) {
	alias, want := x.anyAlias(), x.refusal(k, lasting...)
	if has := x.owner(alias); want == nil && has != nil && has != k {
		want = vault.ErrExists
	}
	if x.expect("SetAlias", x.c.SetAlias(context.Background(), x.nameOf(k), alias), want) && !k.named(alias) {
		others := k.aliases
		if len(others) > 0 {
			others = others[1:] // the first is replaced
		}
		k.aliases = append([]string{alias}, without(others, alias)...)
	}
}

// named reports whether alias is the first alias of k.
func (k *keyModel) named(alias string) bool { return len(k.aliases) > 0 && k.aliases[0] == alias }

func (x *system) addAlias(k *keyModel) { x.addAliasTo(k, x.anyAlias()) }

func (x *system) addAliasTo(k *keyModel, alias string) {
	x.Helper()
	want, has := x.refusal(k, lasting...), x.owner(alias)
	switch {
	case want != nil:
	case has == k:
		want = vault.ErrExists
	case len(k.aliases) == maxAliases:
		want = vault.ErrTooLarge
	case has != nil:
		want = vault.ErrExists
	}
	if x.expect("AddAlias", x.c.AddAlias(context.Background(), x.nameOf(k), alias), want) {
		k.aliases = append(k.aliases, alias)
	}
}

// fillAliases adds free aliases to a CMK, up to one more than it can have.
func (x *system) fillAliases(k *keyModel) {
	for n := range aliasNames {
		if alias := aliasName(n); x.owner(alias) == nil {
			x.addAliasTo(k, alias)
		}
	}
}

func (x *system) moveAlias(k *keyModel) {
	alias, want := x.anyAlias(), x.refusal(k, lasting...)
	from := x.owner(alias)
	switch {
	case want != nil:
	case from == nil:
		want = vault.ErrNotFound
	case from != k && len(k.aliases) == maxAliases:
		want = vault.ErrTooLarge
	}
	if x.expect("MoveAlias", x.c.MoveAlias(context.Background(), alias, x.nameOf(k)), want) && from != k {
		from.aliases = without(from.aliases, alias)
		k.aliases = append([]string{alias}, k.aliases...)
		x.compare(from)
	}
}

// deleteAlias removes an alias by its name, whichever CMK has it.
func (x *system) deleteAlias(*keyModel) {
	alias, want := x.anyAlias(), error(nil)
	from := x.owner(alias)
	if from == nil {
		want = vault.ErrNotFound
	}
	if x.expect("DeleteAlias", x.c.DeleteAlias(context.Background(), alias), want) {
		from.aliases = without(from.aliases, alias)
		x.compare(from)
	}
}

// deleteOnlyAlias removes the only alias of a CMK by the id of the CMK.
func (x *system) deleteOnlyAlias(k *keyModel) {
	want := x.refusal(k, present...)
	switch {
	case want != nil:
	case len(k.aliases) == 0:
		want = vault.ErrNotFound
	case len(k.aliases) > 1:
		want = vault.ErrInvalid
	}
	if x.expect("DeleteAlias", x.c.DeleteAlias(context.Background(), k.id), want) {
		k.aliases = nil
	}
}

// compareAliases looks up all aliases. Each leads to the CMK that has it in the model, or to none.
func (x *system) compareAliases() {
	x.Helper()
	var names []string
	for n := range aliasNames {
		names = append(names, aliasName(n))
	}
	got, err := x.c.DescribeKeys(context.Background(), names...)
	var some *vault.BatchError
	if err != nil && !errors.As(err, &some) {
		x.Fatalf("DescribeKeys: %v", err)
	}
	for n, alias := range names {
		var err error
		if some != nil {
			err = some.Errs[n]
		}
		k := x.owner(alias)
		if k == nil && !errors.Is(err, vault.ErrNotFound) || k != nil && (err != nil || got[n].ID != k.id) {
			x.Fatalf("%v: %s leads to key %q, error %v; want %+v", x.time, alias, got[n].ID, err, k)
		}
	}
}
