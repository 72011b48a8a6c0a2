package awskms

import (
	"errors"
	"time"

	"strongroom.example/vault"
)

func enableKey(c call, id string) error  { return c.EnableKeys(c, id) }
func disableKey(c call, id string) error { return c.DisableKeys(c, id) }

type scheduleKeyDeletionParams struct {
	keyParam
	PendingWindowInDays *int64 `range:"7-30"`
}

// scheduleKeyDeletion disables an enabled CMK first, because the vault demands that. If the
// deletion is refused then, it enables the CMK again.
func scheduleKeyDeletion(c call, p *scheduleKeyDeletionParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	days := limit(p.PendingWindowInDays, vault.MaxDeletionDays)
	k, err := c.ScheduleKeyDeletion(c, id, days)
	var ve *vault.Error
	if errors.As(err, &ve) && errors.Is(err, vault.ErrKeyState) && ve.State == vault.Enabled {
		if err = c.DisableKeys(c, id); err == nil {
			if k, err = c.ScheduleKeyDeletion(c, id, days); err != nil {
				return reply{}, errors.Join(err, c.EnableKeys(c, id))
			}
		}
	}
	return reply{fields: struct {
		KeyId               string
		DeletionDate        *epoch
		KeyState            string
		PendingWindowInDays int
	}{c.handler.keyARN(id), stamp(k.DeletionDate), string(k.State), days}}, err
}

func cancelKeyDeletion(c call, p *keyParam) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	return keyReply(c.handler.keyARN(id)), c.CancelKeyDeletion(c, id)
}

// keyReply is the reply of an operation that returns only the CMK.
func keyReply(id string) reply { return reply{fields: struct{ KeyId string }{id}} }

type enableKeyRotationParams struct {
	keyParam
	RotationPeriodInDays *int64 `range:"90-2560"`
}

// defaultRotation is RotationPeriodInDays if the request has none.
const defaultRotation = 365

func enableKeyRotation(c call, p *enableKeyRotationParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	days := limit(p.RotationPeriodInDays, defaultRotation)
	if days > vault.MaxRotationDays {
		return reply{}, failure{unsupportedOperation, "The vault rotates a key at least once in 365 days."}
	}
	_, err = c.SetRotation(c, id, vault.Rotation{Days: days})
	return reply{}, err
}

func disableKeyRotation(c call, id string) error {
	_, err := c.SetRotation(c, id, vault.Rotation{})
	return err
}

func getKeyRotationStatus(c call, p *keyParam) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	r, err := c.GetRotation(c, id)
	return reply{fields: struct {
		KeyId                string
		KeyRotationEnabled   bool
		RotationPeriodInDays int    `json:",omitempty"`
		NextRotationDate     *epoch `json:",omitempty"`
	}{c.handler.keyARN(id), r.Rotation.Days > 0, r.Rotation.Days, stamp(r.Next)}}, err
}

func rotateKeyOnDemand(c call, p *keyParam) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	_, err = c.RotateKey(c, id)
	return keyReply(c.handler.keyARN(id)), err
}

type getParametersForImportParams struct {
	keyParam
	WrappingAlgorithm string `need:"value"`
	WrappingKeySpec   string `need:"value"`
}

func getParametersForImport(c call, p *getParametersForImportParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	wrapping := vault.WrappingAlgorithm(p.WrappingAlgorithm)
	if wrapping == "SM2PKE" {
		wrapping = vault.WrapSM2
	}
	if p.WrappingKeySpec == "RSA_3072" || p.WrappingKeySpec == "RSA_4096" {
		return reply{}, failure{unsupportedOperation, "The vault has wrapping keys of RSA_2048 and SM2."}
	}
	params, err := c.ParametersForImport(c, id, vault.ImportRequest{Algorithm: wrapping, WrappingKeySpec: vault.KeySpec(p.WrappingKeySpec)})
	return reply{fields: struct {
		KeyId                  string
		ImportToken, PublicKey []byte
		ParametersValidTo      *epoch
	}{c.handler.keyARN(id), params.Token, params.PublicKey.DER, stamp(params.ValidTo)}}, err
}

type importKeyMaterialParams struct {
	keyParam
	ImportToken            blob `need:"value" max:"6144"`
	EncryptedKeyMaterial   blob `need:"value" max:"6144"`
	ValidTo                *epoch
	ExpirationModel        string
	ImportType             string
	KeyMaterialDescription string
	KeyMaterialId          string
}

// validTo returns the end of the material.
func (p *importKeyMaterialParams) validTo() (time.Time, error) {
	switch p.ExpirationModel {
	case "", "KEY_MATERIAL_EXPIRES":
		if p.ValidTo == nil {
			return time.Time{}, failure{validation, "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES."}
		}
		return p.ValidTo.Time, nil
	case "KEY_MATERIAL_DOES_NOT_EXPIRE":
		if p.ValidTo != nil {
			return time.Time{}, failure{validation, "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE."}
		}
		return time.Time{}, nil
	}
	return time.Time{}, failure{validation, "ExpirationModel is KEY_MATERIAL_EXPIRES or KEY_MATERIAL_DOES_NOT_EXPIRE."}
}

// importKeyMaterial imports material. A CMK of the vault keeps the material of its first
// import, so that NEW_KEY_MATERIAL is that import and EXISTING_KEY_MATERIAL every other one;
// the vault decides by the material.
func importKeyMaterial(c call, p *importKeyMaterialParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	if p.KeyMaterialId != "" || p.KeyMaterialDescription != "" {
		return reply{}, failure{unsupportedOperation, "A key of the vault has one imported material, without an id and a description of its own."}
	}
	validTo, err := p.validTo()
	if err != nil {
		return reply{}, err
	}
	_, err = c.ImportKeyMaterial(c, id, vault.ImportMaterial{
		Token: p.ImportToken.Bytes, EncryptedMaterial: p.EncryptedKeyMaterial.Bytes, ValidTo: validTo,
	})
	return keyReply(c.handler.keyARN(id)), err
}

type deleteImportedKeyMaterialParams struct {
	keyParam
	KeyMaterialId string
}

func deleteImportedKeyMaterial(c call, p *deleteImportedKeyMaterialParams) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	if p.KeyMaterialId != "" {
		return reply{}, failure{unsupportedOperation, "A key of the vault has one imported material, without an id of its own."}
	}
	return keyReply(c.handler.keyARN(id)), c.DeleteImportedKeyMaterial(c, id)
}
