package awskms

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/vault"
)

// softDriver is the name of the vault's software engine, which is no custom key store.
const softDriver = "soft"

// The origins of the API.
const (
	originVault    = "AWS_KMS"
	originExternal = "EXTERNAL"
	originStore    = "AWS_CLOUDHSM"
)

type keyMetadata struct {
	AWSAccountId          string
	KeyId                 string
	Arn                   string
	CreationDate          *epoch
	Enabled               bool
	Description           string
	KeyUsage              string
	KeyState              string
	DeletionDate          *epoch `json:",omitempty"`
	ValidTo               *epoch `json:",omitempty"`
	Origin                string
	CustomKeyStoreId      string `json:",omitempty"`
	ExpirationModel       string `json:",omitempty"`
	KeyManager            string
	CustomerMasterKeySpec string
	KeySpec               string
	algorithms
	MultiRegion bool
}

// metadata describes a CMK. The vault's state Archived keeps its name, because the API has
// none for it.
func (h *Handler) metadata(k vault.Key) keyMetadata {
	m := keyMetadata{
		AWSAccountId: h.account, KeyId: k.ID, Arn: h.keyARN(k.ID), CreationDate: stamp(k.Created),
		Enabled: k.State == vault.Enabled, Description: k.Description, KeyUsage: usageName(k.Usage), KeyState: string(k.State),
		Origin: originVault, KeyManager: "CUSTOMER", CustomerMasterKeySpec: specName(k.Spec), KeySpec: specName(k.Spec),
		algorithms: algorithmsOf(k.Usage, k.Spec, h.vault.Edition()),
	}
	if k.State == vault.PendingDeletion {
		m.DeletionDate = stamp(k.DeletionDate)
	}
	if k.Driver != softDriver {
		m.Origin, m.CustomKeyStoreId = originStore, k.Driver
	}
	if k.Origin == vault.OriginExternal {
		m.Origin = originExternal
		if k.Version > 0 && k.State != vault.PendingImport {
			m.ValidTo, m.ExpirationModel = stamp(k.ValidTo), "KEY_MATERIAL_DOES_NOT_EXPIRE"
		}
		if m.ValidTo != nil {
			m.ExpirationModel = "KEY_MATERIAL_EXPIRES"
		}
	}
	return m
}

type tag struct{ TagKey, TagValue string }

type createKeyParams struct {
	Policy                         string
	Description                    string `max:"8192"`
	KeyUsage                       string
	CustomerMasterKeySpec          string
	KeySpec                        string
	Origin                         string
	CustomKeyStoreId               string
	BypassPolicyLockoutSafetyCheck bool // has no effect without a policy
	Tags                           []tag
	MultiRegion                    bool
	XksKeyId                       string
}

func createKey(c call, p *createKeyParams) (reply, error) {
	switch {
	case p.Policy != "":
		return reply{}, failure{unsupportedOperation, "The vault has policies for all keys, and none for one key; remove the parameter Policy."}
	case p.MultiRegion:
		return reply{}, failure{unsupportedOperation, "The vault has one region; remove the parameter MultiRegion."}
	case p.XksKeyId != "":
		return reply{}, failure{unsupportedOperation, "The vault has no external key stores; remove the parameter XksKeyId."}
	}
	o := vault.KeyOptions{Description: p.Description}
	if err := cmp.Or(p.kind(&o), p.place(&o)); err != nil {
		return reply{}, err
	}
	absent := o.Driver != "" && !slices.Contains(c.handler.stores(), o.Driver)
	if absent {
		o.Driver = noStore // the vault refuses it after it has decided on the principal
	}
	var err error
	if o.Tags, err = tagMap(p.Tags); err != nil {
		return reply{}, err
	}
	k, err := c.CreateKey(c, o)
	if absent && errors.Is(err, vault.ErrInvalid) {
		err = failure{customKeyStoreNotFound, "CustomKeyStoreId does not name a driver of the vault."}
	}
	return reply{fields: struct{ KeyMetadata keyMetadata }{c.handler.metadata(k)}}, err
}

// kind sets usage and spec.
func (p *createKeyParams) kind(o *vault.KeyOptions) error {
	name := cmp.Or(p.KeySpec, p.CustomerMasterKeySpec, symmetricDefault)
	if p.KeySpec != "" && p.CustomerMasterKeySpec != "" {
		return failure{validation, "You cannot specify KeySpec and CustomerMasterKeySpec in the same request."}
	}
	row := slices.IndexFunc(keySpecs, func(s keySpec) bool { return s.name == name })
	if row < 0 {
		return failure{unsupportedOperation, fmt.Sprintf("The vault does not support KeySpec %.64q.", name)}
	}
	usage := cmp.Or(p.KeyUsage, "ENCRYPT_DECRYPT")
	for _, u := range keySpecs[row].usages {
		if usageName(u) == usage {
			o.Spec, o.Usage = keySpecs[row].spec, u
			return nil
		}
	}
	return failure{validation, fmt.Sprintf("KeyUsage %.64q is not compatible with KeySpec %s.", usage, name)}
}

// noStore is a name that no program gives a driver.
const noStore = "\x00"

// place sets origin and driver. A custom key store is a driver of the vault, other than the
// software engine.
func (p *createKeyParams) place(o *vault.KeyOptions) error {
	switch p.Origin {
	case "", originVault:
	case originExternal:
		o.Origin = vault.OriginExternal
	case originStore:
		if p.CustomKeyStoreId == "" {
			return failure{validation, "The parameter CustomKeyStoreId is missing."}
		}
	default:
		return failure{unsupportedOperation, "The vault supports Origin AWS_KMS, EXTERNAL and AWS_CLOUDHSM."}
	}
	if p.CustomKeyStoreId == "" {
		return nil
	}
	if p.Origin == "" || p.Origin == originVault {
		return failure{validation, "CustomKeyStoreId needs Origin AWS_CLOUDHSM or EXTERNAL."}
	}
	o.Driver = p.CustomKeyStoreId
	return nil
}

// stores returns the names of the vault's drivers, except the software engine.
func (h *Handler) stores() (names []string) {
	for _, d := range h.vault.Capabilities() {
		if d.Name != softDriver {
			names = append(names, d.Name)
		}
	}
	return names
}

// tagMap returns tags by their keys.
func tagMap(tags []tag) (map[string]string, error) {
	m := make(map[string]string)
	for _, t := range tags {
		if _, double := m[t.TagKey]; double {
			return nil, failure{tagFault, "A TagKey stands twice in the request."}
		}
		if len(t.TagKey) >= 4 && t.TagKey[:4] == "aws:" {
			return nil, failure{tagFault, "Tag keys that begin with aws: are reserved."}
		}
		m[t.TagKey] = t.TagValue
	}
	return m, nil
}

// keyParam is the parameter of an operation on one CMK that takes no alias.
type keyParam struct {
	KeyId string `need:"value" max:"2048"`
}

// id returns the id of the CMK.
func (p keyParam) id(c call) (string, error) {
	k, err := c.find(p.KeyId)
	if err == nil && k.id == "" {
		err = failure{notFound, fmt.Sprintf("Invalid keyId %.256q: the operation takes no alias.", p.KeyId)}
	}
	return k.id, err
}

// on returns the function of an operation on one CMK without a result.
func on(f func(c call, id string) error) func(call, []byte) (reply, error) {
	return served(func(c call, p *keyParam) (reply, error) {
		id, err := p.id(c)
		if err != nil {
			return reply{}, err
		}
		return reply{}, f(c, id)
	})
}

type describeKeyParams struct {
	KeyId string `need:"value" max:"2048"`
	grantTokens
}

func describeKey(c call, p *describeKeyParams) (reply, error) {
	if err := p.check(); err != nil {
		return reply{}, err
	}
	name, err := c.find(p.KeyId)
	if err != nil {
		return reply{}, err
	}
	k, err := c.existing(name.name)
	return reply{fields: struct{ KeyMetadata keyMetadata }{c.handler.metadata(k)}}, err
}

// existing returns the description of a CMK. A destroyed CMK does not exist for the API.
func (c call) existing(name string) (vault.Key, error) {
	k, err := c.DescribeKey(c, name)
	if err == nil && k.State == vault.Destroyed {
		err = failure{notFound, "The key was deleted."}
	}
	return k, err
}

type updateKeyDescriptionParams struct {
	keyParam
	Description *string `need:"value"`
}

func updateKeyDescription(c call, p *updateKeyDescriptionParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.SetDescription(c, id, *p.Description)
}

type tagResourceParams struct {
	keyParam
	Tags []tag `need:"value"`
}

func tagResource(c call, p *tagResourceParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	tags, err := tagMap(p.Tags)
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.TagKey(c, id, tags)
}

type untagResourceParams struct {
	keyParam
	TagKeys []string `need:"value"`
}

func untagResource(c call, p *untagResourceParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.UntagKey(c, id, p.TagKeys...)
}
