package tencentkms

import (
	"errors"
	"strings"
	"time"

	"strongroom.example/vault"
)

func enableKey(c call, p *keyParam) (reply, error)   { return reply{}, c.EnableKeys(c, p.KeyId) }
func disableKey(c call, p *keyParam) (reply, error)  { return reply{}, c.DisableKeys(c, p.KeyId) }
func enableKeys(c call, p *keysParam) (reply, error) { return reply{}, c.EnableKeys(c, p.KeyIds...) }
func disableKeys(c call, p *keysParam) (reply, error) {
	return reply{}, c.DisableKeys(c, p.KeyIds...)
}

func archiveKey(c call, p *keyParam) (reply, error) { return reply{}, c.ArchiveKey(c, p.KeyId) }
func cancelKeyArchive(c call, p *keyParam) (reply, error) {
	return reply{}, c.CancelKeyArchive(c, p.KeyId)
}

type updateAliasParams struct {
	memberAccount
	Alias string `need:"value"`
	KeyId string `need:"key"`
}

func updateAlias(c call, p *updateAliasParams) (reply, error) {
	if err := checkAlias(p.Alias); err != nil {
		return reply{}, err
	}
	return reply{}, c.SetAlias(c, p.KeyId, p.Alias)
}

type updateKeyDescriptionParams struct {
	memberAccount
	Description *string `need:"value"`
	KeyId       string  `need:"key"`
}

func updateKeyDescription(c call, p *updateKeyDescriptionParams) (reply, error) {
	return reply{}, c.SetDescription(c, p.KeyId, *p.Description)
}

type scheduleKeyDeletionParams struct {
	memberAccount
	KeyId               string  `need:"key"`
	PendingWindowInDays *number `need:"value"`
}

func checkDeletionDays(days number) error {
	if days < vault.MinDeletionDays || days > vault.MaxDeletionDays {
		return failure{invalidPendingWindowInDays, "PendingWindowInDays is 7 to 30."}
	}
	return nil
}

func scheduleKeyDeletion(c call, p *scheduleKeyDeletionParams) (reply, error) {
	if err := checkDeletionDays(*p.PendingWindowInDays); err != nil {
		return reply{}, err
	}
	k, err := c.ScheduleKeyDeletion(c, p.KeyId, int(*p.PendingWindowInDays))
	return reply{fields: struct {
		DeletionDate int64
		KeyId        string
	}{unix(k.DeletionDate), p.KeyId}}, err
}

func cancelKeyDeletion(c call, p *keyParam) (reply, error) {
	return reply{fields: struct{ KeyId string }{p.KeyId}}, c.CancelKeyDeletion(c, p.KeyId)
}

// rotateKey returns the request's id as TaskId: the audit record of the rotation has it.
func rotateKey(c call, p *keyParam) (reply, error) {
	_, err := c.RotateKey(c, p.KeyId)
	return reply{fields: struct{ TaskId string }{c.id}}, err
}

// defaultRotateDays is RotateDays if the request has none.
const defaultRotateDays = 365

type enableKeyRotationParams struct {
	memberAccount
	KeyId      string `need:"key"`
	RotateDays *number
}

func enableKeyRotation(c call, p *enableKeyRotationParams) (reply, error) {
	days := number(defaultRotateDays)
	if p.RotateDays != nil {
		days = *p.RotateDays
	}
	if days < vault.MinRotationDays || days > vault.MaxRotationDays {
		return reply{}, failure{invalidParameter, "RotateDays is 7 to 365."}
	}
	_, err := c.SetRotation(c, p.KeyId, vault.Rotation{Days: int(days)})
	return reply{}, err
}

func disableKeyRotation(c call, p *keyParam) (reply, error) {
	_, err := c.SetRotation(c, p.KeyId, vault.Rotation{})
	return reply{}, err
}

func getKeyRotationStatus(c call, p *keyParam) (reply, error) {
	r, err := c.GetRotation(c, p.KeyId)
	return reply{fields: struct{ KeyRotationEnabled bool }{r.Rotation.Days > 0}}, err
}

type bindingParams struct {
	KeyId      string `need:"key"`
	ProductId  string `need:"value"`
	ResourceId string
}

// resource returns the name of the binding in the vault. It is of one product and resource
// only, because a product's name has no slash.
func (p *bindingParams) resource() (string, error) {
	if strings.Contains(p.ProductId, "/") {
		return "", failure{invalidParameter, "ProductId must not contain a slash."}
	}
	if p.ResourceId == "" {
		return p.ProductId, nil
	}
	return p.ProductId + "/" + p.ResourceId, nil
}

func bindCloudResource(c call, p *bindingParams) (reply, error) {
	resource, err := p.resource()
	if err != nil {
		return reply{}, err
	}
	return reply{}, c.BindResource(c, p.KeyId, resource)
}

func unbindCloudResource(c call, p *bindingParams) (reply, error) {
	resource, err := p.resource()
	if err != nil {
		return reply{}, err
	}
	err = c.UnbindResource(c, p.KeyId, resource)
	if !errors.Is(err, vault.ErrNotFound) {
		return reply{}, err
	}
	// Either the CMK does not exist, or the binding.
	if _, absent := c.ListBindings(c, p.KeyId); errors.Is(absent, vault.ErrNotFound) {
		return reply{}, err
	}
	return reply{}, failure{bindingNotFound, "The resource is not bound to the CMK."}
}

type getParametersForImportParams struct {
	KeyId             string `need:"key"`
	WrappingAlgorithm string `need:"value"`
	WrappingKeySpec   string `need:"value"`
}

func getParametersForImport(c call, p *getParametersForImportParams) (reply, error) {
	params, err := c.ParametersForImport(c, p.KeyId, vault.ImportRequest{
		Algorithm: vault.WrappingAlgorithm(p.WrappingAlgorithm), WrappingKeySpec: vault.KeySpec(p.WrappingKeySpec),
	})
	if err != nil {
		return reply{}, err
	}
	return reply{fields: struct {
		KeyId                  string
		ImportToken, PublicKey []byte
		ParametersValidTo      int64
	}{p.KeyId, params.Token, params.PublicKey.DER, unix(params.ValidTo)}}, nil
}

// maxValidTo is the last value of ValidTo that the API takes.
const maxValidTo = 2147443200

type importKeyMaterialParams struct {
	EncryptedKeyMaterial blob   `need:"value" code:"InvalidParameter.DecryptMaterialError"`
	ImportToken          blob   `need:"value"`
	KeyId                string `need:"key"`
	ValidTo              *number
}

func importKeyMaterial(c call, p *importKeyMaterialParams) (reply, error) {
	m := vault.ImportMaterial{Token: p.ImportToken.Bytes, EncryptedMaterial: p.EncryptedKeyMaterial.Bytes}
	if p.ValidTo != nil && *p.ValidTo > maxValidTo {
		return reply{}, failure{invalidParameter, "ValidTo is at most 2147443200."}
	}
	if p.ValidTo != nil && *p.ValidTo != 0 {
		m.ValidTo = time.Unix(int64(*p.ValidTo), 0)
	}
	_, err := c.ImportKeyMaterial(c, p.KeyId, m)
	return reply{}, err
}

type importedKeyParam struct {
	KeyId string `need:"key"`
}

func deleteImportedKeyMaterial(c call, p *importedKeyParam) (reply, error) {
	return reply{}, c.DeleteImportedKeyMaterial(c, p.KeyId)
}
