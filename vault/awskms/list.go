package awskms

import (
	"maps"
	"slices"
	"strconv"

	"strongroom.example/vault"
)

// page are the fields of a response with a part of a list.
type page struct {
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// limit returns the number of entries of a page.
func limit(asked *int64, usual int) int {
	if asked == nil {
		return usual
	}
	return int(*asked)
}

// part returns the part of a short list that begins at the marker, which is the number of the
// entries before it.
func part[T any](list []T, asked *int64, marker string) ([]T, page, error) {
	from := 0
	if marker != "" {
		n, err := strconv.ParseUint(marker, 10, 31)
		if err != nil || int(n) > len(list) {
			return nil, page{}, failure{invalidMarker, "The marker is not one of this list."}
		}
		from = int(n)
	}
	to := min(from+limit(asked, 50), len(list))
	if to == len(list) {
		return list[from:], page{}, nil
	}
	return list[from:to], page{strconv.Itoa(to), true}, nil
}

type listKeysParams struct {
	Limit  *int64 `range:"1-1000"`
	Marker string `max:"1024"`
}

func listKeys(c call, p *listKeysParams) (reply, error) {
	keys, err := c.ListKeysPage(c, vault.KeyFilter{}, vault.PageRequest{Limit: limit(p.Limit, 100), Token: p.Marker})
	type entry struct{ KeyId, KeyArn string }
	list := []entry{}
	for _, k := range keys.Keys {
		if k.State != vault.Creating && k.State != vault.Destroyed {
			list = append(list, entry{k.ID, c.handler.keyARN(k.ID)})
		}
	}
	return reply{fields: struct {
		Keys []entry
		page
	}{list, page{keys.Next, keys.Next != ""}}}, err
}

type listOfKeyParams struct {
	keyParam
	Limit  *int64 `range:"1-1000"`
	Marker string `max:"1024"`
}

// describe returns the CMK.
func (p *listOfKeyParams) describe(c call) (vault.Key, error) {
	id, err := p.id(c)
	if err != nil {
		return vault.Key{}, err
	}
	return c.existing(id)
}

func listResourceTags(c call, p *listOfKeyParams) (reply, error) {
	k, err := p.describe(c)
	if err != nil {
		return reply{}, err
	}
	tags := []tag{}
	for _, key := range slices.Sorted(maps.Keys(k.Tags)) {
		tags = append(tags, tag{key, k.Tags[key]})
	}
	tags, next, err := part(tags, p.Limit, p.Marker)
	return reply{fields: struct {
		Tags []tag
		page
	}{tags, next}}, err
}

// listKeyPolicies returns an empty list, because no policy is that of one CMK.
func listKeyPolicies(c call, p *listOfKeyParams) (reply, error) {
	if _, err := p.describe(c); err != nil {
		return reply{}, err
	}
	return reply{fields: struct {
		PolicyNames []string
		page
	}{[]string{}, page{}}}, nil
}

type listKeyRotationsParams struct {
	listOfKeyParams
	IncludeKeyMaterial string
}

// listKeyRotations lists the versions of a CMK after the first, and that one too if all
// material is wanted. The vault does not store why it rotated, and so RotationType is missing.
func listKeyRotations(c call, p *listKeyRotationsParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	if !slices.Contains([]string{"", "ROTATIONS_ONLY", "ALL_KEY_MATERIAL"}, p.IncludeKeyMaterial) {
		return reply{}, failure{validation, "IncludeKeyMaterial is ROTATIONS_ONLY or ALL_KEY_MATERIAL."}
	}
	versions, err := c.ListKeyVersions(c, id)
	if err != nil {
		return reply{}, err
	}
	type entry struct {
		KeyId        string
		RotationDate *epoch `json:",omitempty"`
	}
	list := []entry{}
	for _, v := range versions {
		switch {
		case v.Number > 1:
			list = append(list, entry{id, stamp(v.Created)})
		case p.IncludeKeyMaterial == "ALL_KEY_MATERIAL":
			list = append(list, entry{KeyId: id})
		}
	}
	list, next, err := part(list, p.Limit, p.Marker)
	return reply{fields: struct {
		Rotations []entry
		page
	}{list, next}}, err
}

type describeCustomKeyStoresParams struct {
	CustomKeyStoreId   string
	CustomKeyStoreName string
	Limit              *int64 `range:"1-1000"`
	Marker             string `max:"1024"`
}

// describeCustomKeyStores lists the drivers of the vault, for principals that may list its
// algorithms.
func describeCustomKeyStores(c call, p *describeCustomKeyStoresParams) (reply, error) {
	if _, err := c.ListAlgorithms(c); err != nil {
		return reply{}, err
	}
	type entry struct{ CustomKeyStoreId, CustomKeyStoreName, CustomKeyStoreType, ConnectionState string }
	list := []entry{}
	for _, name := range c.handler.stores() {
		if (p.CustomKeyStoreId == "" || p.CustomKeyStoreId == name) && (p.CustomKeyStoreName == "" || p.CustomKeyStoreName == name) {
			list = append(list, entry{name, name, originStore, "CONNECTED"})
		}
	}
	if len(list) == 0 && p.CustomKeyStoreId+p.CustomKeyStoreName != "" {
		return reply{}, failure{customKeyStoreNotFound, "The vault has no driver of that name."}
	}
	list, next, err := part(list, p.Limit, p.Marker)
	return reply{fields: struct {
		CustomKeyStores []entry
		page
	}{list, next}}, err
}
