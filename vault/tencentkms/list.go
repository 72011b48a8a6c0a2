package tencentkms

import (
	"cmp"
	"slices"
	"strings"

	"strongroom.example/vault"
)

type listKeysParams struct {
	Offset, Limit *number
	Role          number
	HsmClusterId  string
}

type tagFilter struct {
	TagKey   string
	TagValue []string
}

type listKeyDetailParams struct {
	Offset, Limit  *number
	Role           number
	OrderType      number
	KeyState       number
	SearchKeyAlias string
	Origin         string
	KeyUsage       string
	TagFilters     []tagFilter
	HsmClusterId   string
	MemberAccounts []present
}

// stateFilters are the values of KeyState: all, and one state each.
var stateFilters = []vault.KeyState{"", vault.Enabled, vault.Disabled, vault.PendingDeletion, vault.PendingImport, vault.Archived}

func listKeys(c call, p *listKeysParams) (reply, error) {
	states := []vault.KeyState{vault.Enabled, vault.Disabled, vault.PendingImport}
	keys, total, err := c.page(listing{
		filter: vault.KeyFilter{}, cluster: p.HsmClusterId, role: p.Role, offset: p.Offset, limit: p.Limit,
		match: func(k vault.Key) bool { return slices.Contains(states, k.State) },
	})
	type keyID struct{ KeyId string }
	list := []keyID{}
	for _, k := range keys {
		list = append(list, keyID{k.ID})
	}
	return reply{fields: struct {
		Keys       []keyID
		TotalCount int
	}{list, total}}, err
}

func listKeyDetail(c call, p *listKeyDetailParams) (reply, error) {
	if len(p.MemberAccounts) > 0 {
		return reply{}, failure{unsupportedOperation, "A vault has no member accounts; remove the parameter MemberAccounts."}
	}
	if p.OrderType > 1 || p.KeyState >= number(len(stateFilters)) || !slices.Contains([]string{"", "ALL", "TENCENT_KMS", "EXTERNAL"}, p.Origin) {
		return reply{}, failure{invalidParameter, "OrderType is 0 or 1, KeyState 0 to 5, and Origin TENCENT_KMS, EXTERNAL or ALL."}
	}
	l := listing{cluster: p.HsmClusterId, role: p.Role, offset: p.Offset, limit: p.Limit, ascending: p.OrderType == 1, match: p.match}
	l.filter.State = stateFilters[p.KeyState]
	switch p.Origin {
	case "TENCENT_KMS":
		l.filter.Origin = vault.OriginVault
	case "EXTERNAL":
		l.filter.Origin = vault.OriginExternal
	}
	keys, total, err := c.page(l)
	list := []keyMetadata{}
	for _, k := range keys {
		list = append(list, metadata(k, c.handler.vault.Edition()))
	}
	return reply{fields: struct {
		KeyMetadatas []keyMetadata
		TotalCount   int
	}{list, total}}, err
}

// match reports whether a CMK passes the filters that the vault does not have.
func (p *listKeyDetailParams) match(k vault.Key) bool {
	usage := cmp.Or(p.KeyUsage, "ENCRYPT_DECRYPT")
	if usage != "ALL" && usageName(k.Usage, k.Spec) != usage {
		return false
	}
	if !strings.Contains(k.Alias, p.SearchKeyAlias) && !strings.Contains(k.ID, p.SearchKeyAlias) {
		return false
	}
	for _, f := range p.TagFilters {
		value, tagged := k.Tags[f.TagKey]
		if !tagged || len(f.TagValue) > 0 && !slices.Contains(f.TagValue, value) {
			return false
		}
	}
	return true
}

// A listing selects a page of the CMKs.
type listing struct {
	filter        vault.KeyFilter
	cluster       string
	role          number // 1: CMKs that services of the cloud made, which a vault does not have
	offset, limit *number
	ascending     bool // by the time of creation
	match         func(vault.Key) bool
}

// page returns a page of the CMKs that the caller may describe, and the number of all that
// match. It reads all of them, because the API numbers them by the time of creation.
func (c call) page(l listing) ([]vault.Key, int, error) {
	if l.role > 1 {
		return nil, 0, failure{invalidParameter, "Role is 0 or 1."}
	}
	if err := c.handler.checkCluster(l.cluster); err != nil {
		return nil, 0, err
	}
	l.filter.Driver = l.cluster
	var keys []vault.Key
	for k, err := range c.ListKeys(c, l.filter) {
		if err != nil {
			return nil, 0, err
		}
		if l.role == 0 && k.State != vault.Creating && k.State != vault.Destroyed && l.match(k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b vault.Key) int {
		if !l.ascending {
			a, b = b, a
		}
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	page, err := pageOf(keys, l.offset, l.limit)
	return page, len(keys), err
}

// pageOf returns the part of a list that Offset and Limit select.
func pageOf[T any](all []T, offset, limit *number) ([]T, error) {
	from, n := number(0), number(10)
	if offset != nil {
		from = *offset
	}
	if limit != nil {
		n = *limit
	}
	if n < 1 || n > 200 {
		return nil, failure{invalidParameter, "Limit is 1 to 200."}
	}
	from = min(from, number(len(all)))
	return all[from:min(from+n, number(len(all)))], nil
}
