package tencentkms

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"strongroom.example/vault"
	"strongroom.example/vault/internal/keyid"
)

// softDriver is the name of the vault's software engine, which is no cluster of HSMs.
const softDriver = "soft"

// usages are the names that the API has for usage and spec of a CMK.
var usages = []struct {
	name  string
	usage vault.KeyUsage
	spec  vault.KeySpec
}{
	{"ENCRYPT_DECRYPT", vault.EncryptDecrypt, vault.Symmetric},
	{"ASYMMETRIC_DECRYPT_RSA_2048", vault.AsymmetricDecrypt, vault.RSA2048},
	{"ASYMMETRIC_DECRYPT_SM2", vault.AsymmetricDecrypt, vault.SM2},
	{"ASYMMETRIC_SIGN_VERIFY_SM2", vault.SignVerify, vault.SM2},
	{"ASYMMETRIC_SIGN_VERIFY_ECC", vault.SignVerify, vault.ECCP256},
	{"ASYMMETRIC_SIGN_VERIFY_RSA_2048", vault.SignVerify, vault.RSA2048},
	{"ASYMMETRIC_SIGN_VERIFY_ECDSA384", vault.SignVerify, vault.ECCP384},
}

// usageName returns the name of a usage with a spec. One that the API does not have is made
// of the vault's two names.
func usageName(usage vault.KeyUsage, spec vault.KeySpec) string {
	for _, u := range usages {
		if u.usage == usage && u.spec == spec {
			return u.name
		}
	}
	return string(usage) + "_" + string(spec)
}

// stateName returns the name that the API has for a state. The vault's Creating and Destroyed
// keep their names, because the API has none for them.
func stateName(s vault.KeyState) string {
	if s == vault.PendingDeletion {
		return "PendingDelete"
	}
	return string(s)
}

type keyMetadata struct {
	KeyId              string
	Alias              string
	CreateTime         int64
	Description        string
	KeyState           string
	KeyUsage           string
	Type               int
	CreatorUin         int
	CreatorUinString   string
	KeyRotationEnabled bool
	Owner              string
	NextRotateTime     int64
	LastRotateTime     int64
	RotateDays         int
	DeletionDate       int64
	Origin             string
	ValidTo            int64
	ResourceId         string
	HsmClusterId       string
	IsSyncReplica      int
}

// metadata describes a CMK. Type is 4 for a vault of the SM edition and 2 for every other,
// because the API has no third value; it is not a statement about a certificate. CreatorUin is
// 0, because principals are not numbers.
func metadata(k vault.Key, edition vault.Edition) keyMetadata {
	m := keyMetadata{
		KeyId: k.ID, Alias: k.Alias, CreateTime: k.Created.Unix(), Description: k.Description,
		KeyState: stateName(k.State), KeyUsage: usageName(k.Usage, k.Spec), Type: 2,
		CreatorUinString: string(k.Creator), Owner: "user", Origin: originName(k.Origin),
		ResourceId: "creatorUin/0/" + k.ID, HsmClusterId: cluster(k.Driver),
		DeletionDate: unix(k.DeletionDate), ValidTo: unix(k.ValidTo),
		KeyRotationEnabled: k.Rotation.Days > 0, RotateDays: k.Rotation.Days, NextRotateTime: unix(k.NextRotation),
	}
	if edition == vault.SM {
		m.Type = 4
	}
	if k.Version > 1 {
		m.LastRotateTime = unix(k.Rotated)
	}
	return m
}

// originName returns the name that the API has for an origin.
func originName(o vault.Origin) string {
	if o == vault.OriginExternal {
		return "EXTERNAL"
	}
	return "TENCENT_KMS"
}

// unix returns seconds, and 0 for no time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// cluster returns the id of the HSM cluster that stands for a driver.
func cluster(driver string) string {
	if driver == softDriver {
		return ""
	}
	return driver
}

// checkCluster refuses an id that is not the name of a driver.
func (h *Handler) checkCluster(id string) error {
	named := func(d vault.DriverCapabilities) bool { return cluster(d.Name) == id }
	if id != "" && !slices.ContainsFunc(h.vault.Capabilities(), named) {
		return failure{invalidHsmClusterID, "HsmClusterId does not name a driver of the vault."}
	}
	return nil
}

// checkAlias checks the form of an alias. The prefix is reserved for the service itself.
func checkAlias(alias string) error {
	if !aliasForm(alias) || strings.HasPrefix(strings.ToLower(alias), "kms-") {
		return failure{invalidAlias, "An alias has 1 to 60 of A-Z a-z 0-9 _ and -, begins with a letter or digit, and not with kms-."}
	}
	return nil
}

// aliasForm reports whether a name that is not empty has the form of an alias.
func aliasForm(name string) bool {
	wrong := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && r != '_' && r != '-'
	}
	_, isID := keyid.Parse(strings.ToLower(name))
	return len(name) <= 60 && !strings.ContainsFunc(name, wrong) && name[0] != '_' && name[0] != '-' && !isID
}

type tag struct{ TagKey, TagValue string }

type createKeyParams struct {
	Alias        string `need:"value"`
	Description  string
	KeyUsage     string
	Type         *number
	Tags         []tag
	HsmClusterId string
}

func createKey(c call, p *createKeyParams) (reply, error) {
	o := vault.KeyOptions{Alias: p.Alias, Description: p.Description, Driver: p.HsmClusterId, Tags: map[string]string{}}
	if err := cmp.Or(checkAlias(p.Alias), c.handler.checkCluster(p.HsmClusterId)); err != nil {
		return reply{}, err
	}
	name := cmp.Or(p.KeyUsage, "ENCRYPT_DECRYPT")
	for _, u := range usages {
		if u.name == name {
			o.Usage, o.Spec = u.usage, u.spec
		}
	}
	if o.Usage == "" {
		return reply{}, failure{invalidKeyUsage, "KeyUsage is not a usage that the vault has."}
	}
	switch external := p.Type != nil && *p.Type == 2; {
	case p.Type != nil && *p.Type != 1 && !external, external && o.Usage != vault.EncryptDecrypt:
		return reply{}, failure{invalidType, "Type is 1, or 2 for a CMK of usage ENCRYPT_DECRYPT whose material is imported."}
	case external:
		o.Origin = vault.OriginExternal
	}
	for _, t := range p.Tags {
		if _, double := o.Tags[t.TagKey]; double {
			return reply{}, failure{tagKeysDuplicated, "A TagKey stands twice in the request."}
		}
		o.Tags[t.TagKey] = t.TagValue
	}
	k, err := c.CreateKey(c, o)
	if err != nil {
		return reply{}, err
	}
	return reply{fields: struct {
		KeyId, Alias                    string
		CreateTime                      int64
		Description, KeyState, KeyUsage string
		TagCode                         int
		TagMsg, HsmClusterId            string
	}{k.ID, k.Alias, k.Created.Unix(), k.Description, stateName(k.State), name, 0, "", cluster(k.Driver)}}, nil
}

// keyParam is the parameter of an operation on one CMK.
type keyParam struct {
	memberAccount
	KeyId string `need:"key"`
}

// keysParam is the parameter of an operation on several CMKs.
type keysParam struct {
	memberAccount
	KeyIds []string `need:"keys"`
}

func describeKey(c call, p *keyParam) (reply, error) {
	k, err := c.DescribeKey(c, p.KeyId)
	return reply{fields: struct{ KeyMetadata keyMetadata }{metadata(k, c.handler.vault.Edition())}}, err
}

func describeKeys(c call, p *keysParam) (reply, error) {
	keys, err := c.DescribeKeys(c, p.KeyIds...)
	list := []keyMetadata{}
	for _, k := range keys {
		list = append(list, metadata(k, c.handler.vault.Edition()))
	}
	return reply{fields: struct{ KeyMetadatas []keyMetadata }{list}}, err
}
