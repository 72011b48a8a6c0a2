package tencentkms

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"strongroom.example/vault"
)

type dataKeyMetadata struct {
	DataKeyId, KeyId, KeyName, DataKeyName string
	NumberOfBytes                          int
	CreateTime                             int64
	Description, KeyState                  string
	CreatorUin                             int
	CreatorUinString, Owner                string
	DeletionDate                           int64
	Origin, HsmClusterId, ResourceId       string
	IsSyncReplica                          int
}

// describeDataKeys returns the metadata of data keys. KeyName and HsmClusterId are those of the
// CMK, and empty if the principal may not describe it.
func (c call) describeDataKeys(keys []vault.NamedDataKey) ([]dataKeyMetadata, error) {
	cmks := map[string]vault.Key{}
	var ids []string
	for _, k := range keys {
		if !slices.Contains(ids, k.Key) {
			ids = append(ids, k.Key)
		}
	}
	for some := range slices.Chunk(ids, 100) {
		found, err := c.DescribeKeys(c, some...)
		if err != nil && !errors.Is(err, vault.ErrDenied) {
			return nil, err
		}
		for _, k := range found {
			cmks[k.ID] = k
		}
	}
	list := []dataKeyMetadata{}
	for _, k := range keys {
		list = append(list, dataKeyMetadata{
			DataKeyId: k.ID, KeyId: k.Key, KeyName: cmks[k.Key].Alias, DataKeyName: k.Name, NumberOfBytes: k.Size,
			CreateTime: k.Created.Unix(), Description: k.Description, KeyState: stateName(k.State), CreatorUinString: string(k.Creator), Owner: "user",
			DeletionDate: unix(k.DeletionDate), Origin: originName(k.Origin), HsmClusterId: cluster(cmks[k.Key].Driver), ResourceId: "creatorUin/0/" + k.ID,
		})
	}
	return list, nil
}

func describeDataKey(c call, p *dataKeyParam) (reply, error) {
	keys, err := c.DescribeDataKeys(c, p.DataKeyId)
	if err != nil {
		return reply{}, err
	}
	list, err := c.describeDataKeys(keys)
	if err != nil {
		return reply{}, err
	}
	return reply{fields: struct{ DataKeyMetadata dataKeyMetadata }{list[0]}}, nil
}

func describeDataKeys(c call, p *dataKeysParam) (reply, error) {
	keys, err := c.DescribeDataKeys(c, p.DataKeyIds...)
	if err != nil {
		return reply{}, err
	}
	list, err := c.describeDataKeys(keys)
	return reply{fields: struct{ DataKeyMetadatas []dataKeyMetadata }{list}}, err
}

type listDataKeysParams struct {
	Offset, Limit *number
	Role          number
	HsmClusterId  string
}

func listDataKeys(c call, p *listDataKeysParams) (reply, error) {
	keys, total, err := c.pageOfDataKeys(&listDataKeyDetailParams{Offset: p.Offset, Limit: p.Limit, Role: p.Role, HsmClusterId: p.HsmClusterId})
	type dataKeyID struct{ DataKeyId string }
	list := []dataKeyID{}
	for _, k := range keys {
		list = append(list, dataKeyID{k.ID})
	}
	return reply{fields: struct {
		DataKeys   []dataKeyID
		TotalCount int
	}{list, total}}, err
}

type listDataKeyDetailParams struct {
	Offset, Limit  *number
	Role           number
	OrderType      number
	KeyState       number
	SearchKeyAlias string
	Origin         string
	HsmClusterId   string
	KeyId          string `need:"key?"`
	DataKeyLen     number
	TagFilters     []tagFilter
	MemberAccounts []present
}

func listDataKeyDetail(c call, p *listDataKeyDetailParams) (reply, error) {
	if len(p.MemberAccounts) > 0 {
		return reply{}, failure{unsupportedOperation, "A vault has no member accounts; remove the parameter MemberAccounts."}
	}
	keys, total, err := c.pageOfDataKeys(p)
	if err != nil {
		return reply{}, err
	}
	list, err := c.describeDataKeys(keys)
	return reply{fields: struct {
		DataKeyMetadatas []dataKeyMetadata
		TotalCount       int
	}{list, total}}, err
}

// filter returns the filter of the vault. The API's values of KeyState are those of stateFilters
// up to PendingDelete.
func (p *listDataKeyDetailParams) filter() (vault.DataKeyFilter, error) {
	f := vault.DataKeyFilter{Key: p.KeyId, Size: int(min(p.DataKeyLen, vault.MaxRandom+1))}
	if p.OrderType > 1 || p.Role > 1 || p.KeyState > 3 {
		return f, failure{invalidParameter, "OrderType and Role are 0 or 1, and KeyState is 0 to 3."}
	}
	f.State = stateFilters[p.KeyState]
	switch p.Origin {
	case "", "ALL":
	case "TENCENT_KMS":
		f.Origin = vault.OriginVault
	case "EXTERNAL":
		f.Origin = vault.OriginExternal
	default:
		return f, failure{invalidParameter, "Origin is TENCENT_KMS, EXTERNAL or ALL."}
	}
	return f, nil
}

// pageOfDataKeys returns a page of the data keys that the caller may describe, and the number of
// all that match, as page does for CMKs.
func (c call) pageOfDataKeys(p *listDataKeyDetailParams) ([]vault.NamedDataKey, int, error) {
	f, err := p.filter()
	if err != nil {
		return nil, 0, err
	}
	inCluster, err := c.keysOfCluster(p.HsmClusterId)
	if err != nil {
		return nil, 0, err
	}
	var keys []vault.NamedDataKey
	for k, err := range c.ListDataKeys(c, f) {
		if err != nil {
			return nil, 0, err
		}
		named := strings.Contains(k.Name, p.SearchKeyAlias) || strings.Contains(k.ID, p.SearchKeyAlias)
		if named && p.Role == 0 && len(p.TagFilters) == 0 && (p.HsmClusterId == "" || inCluster[k.Key]) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b vault.NamedDataKey) int {
		if p.OrderType == 0 {
			a, b = b, a
		}
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	page, err := pageOf(keys, p.Offset, p.Limit)
	return page, len(keys), err
}

// keysOfCluster returns the ids of the CMKs of a cluster, or nil if id is empty.
func (c call) keysOfCluster(id string) (map[string]bool, error) {
	if id == "" {
		return nil, nil
	}
	if err := c.handler.checkCluster(id); err != nil {
		return nil, err
	}
	in := map[string]bool{}
	for k, err := range c.ListKeys(c, vault.KeyFilter{Driver: id}) {
		if err != nil {
			return nil, err
		}
		in[k.ID] = true
	}
	return in, nil
}
