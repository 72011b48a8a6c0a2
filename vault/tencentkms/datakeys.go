package tencentkms

import (
	"cmp"
	"errors"
	"slices"

	"strongroom.example/vault"
)

// maxDataKeyDescription is the length of the description of a data key in bytes.
const maxDataKeyDescription = 100

// dataKeyOptions checks the name and the description of a new data key.
func dataKeyOptions(name, description string, ec vault.EncryptionContext) (vault.DataKeyOptions, error) {
	if err := cmp.Or(checkDataKeyName(name), checkDataKeyDescription(description)); err != nil {
		return vault.DataKeyOptions{}, err
	}
	return vault.DataKeyOptions{Name: name, Description: description, Context: ec}, nil
}

func checkDataKeyName(name string) error {
	if name == "" {
		return failure{missingParameter, "The parameter DataKeyName is missing."}
	}
	if !aliasForm(name) {
		return failure{invalidDataKeyName, "The name of a data key has 1 to 60 of A-Z a-z 0-9 _ and -, and begins with a letter or digit."}
	}
	return nil
}

func checkDataKeyDescription(text string) error {
	if len(text) > maxDataKeyDescription {
		return failure{invalidParameter, "The description of a data key has at most 100 bytes."}
	}
	return nil
}

// checkClusterOf checks that a CMK belongs to the cluster that a request names.
func (c call) checkClusterOf(key, id string) error {
	if id == "" {
		return nil
	}
	if err := c.handler.checkCluster(id); err != nil {
		return err
	}
	k, err := c.DescribeKey(c, key)
	if err == nil && cluster(k.Driver) != id {
		err = failure{invalidHsmClusterID, "The CMK does not belong to HsmClusterId."}
	}
	return err
}

// untagged returns TagCode and TagMsg: a named data key of the vault has no tags.
func untagged(tags []tag) (code int, message string) {
	if len(tags) > 0 {
		return 2, "The data key is stored without its tags, because data keys of the vault have none."
	}
	return 0, ""
}

// keepDataKey makes a named data key, and returns its plaintext, encrypted to the recipient if
// the request has one, with the ciphertext.
func keepDataKey(c call, p *generateDataKeyParams, size int, ec vault.EncryptionContext, to recipient) (plaintext, ct []byte, id string, err error) {
	o, err := dataKeyOptions(p.DataKeyName, p.Description, ec)
	if err != nil {
		return nil, nil, "", err
	}
	k, err := c.CreateDataKey(c, p.KeyId, size, o)
	if err != nil {
		return nil, nil, "", tooManyDataKeys(err)
	}
	if to.named {
		if plaintext, err = openTo(c, to, k.ID); err == nil {
			ct, err = c.DataKeyCiphertext(c, k.ID)
		}
		return plaintext, ct, k.ID, err
	}
	plaintext, ct, err = open(c, k.ID)
	return plaintext, ct, k.ID, err
}

// tooManyDataKeys returns the failure for a CMK that has no room for another data key. The
// other lengths were checked before.
func tooManyDataKeys(err error) error {
	if errors.Is(err, vault.ErrTooLarge) {
		return failure{dataKeyLimitExceeded, "The CMK has as many data keys as it can have, or the context is too long."}
	}
	return err
}

// open returns the plaintext of a named data key, which the caller wipes, and its ciphertext.
func open(c call, id string) (plaintext, ct []byte, err error) {
	k, err := c.OpenNamedDataKey(c, id)
	if err != nil {
		return nil, nil, err
	}
	defer k.Destroy()
	err = k.Use(func(b []byte) error {
		plaintext = slices.Clone(b)
		return nil
	})
	return plaintext, slices.Clone(k.Ciphertext()), err
}

// openTo returns a named data key encrypted to a recipient.
func openTo(c call, to recipient, id string) ([]byte, error) {
	sealed, err := c.OpenNamedDataKeyTo(c, to.Recipient, id)
	if err == nil && to.raw {
		sealed, err = rawSM2(sealed)
	}
	return sealed, err
}

type importDataKeyParams struct {
	DataKeyName       string
	ImportKeyMaterial blob    `need:"value" code:"InvalidParameterValue.InvalidImportKeyMaterial"`
	ImportType        *number `need:"value"`
	Description       string
	KeyId             string `need:"key?"`
	HsmClusterId      string
	Tags              []tag
}

// importDataKey imports a ciphertext (ImportType 1) or a plaintext (2).
func importDataKey(c call, p *importDataKeyParams) (reply, error) {
	o, err := dataKeyOptions(p.DataKeyName, p.Description, nil)
	if err != nil {
		return reply{}, err
	}
	material := p.ImportKeyMaterial.Bytes
	var k vault.NamedDataKey
	switch *p.ImportType {
	case 1:
		header, headerErr := vault.Inspect(material)
		if headerErr != nil || p.KeyId != "" && header.Key != p.KeyId {
			return reply{}, failure{invalidImportKeyMaterial, "ImportKeyMaterial is not a ciphertext of the CMK."}
		}
		if err = c.checkClusterOf(header.Key, p.HsmClusterId); err == nil {
			k, err = c.ImportDataKeyCiphertext(c, material, o)
		}
	case 2:
		if p.KeyId == "" {
			return reply{}, failure{missingParameter, "The parameter KeyId is missing."}
		}
		if n := len(material); n < 1 || n > vault.MaxRandom {
			return reply{}, failure{invalidImportKeyMaterial, "A data key has 1 to 1024 bytes."}
		}
		if err = c.checkClusterOf(p.KeyId, p.HsmClusterId); err == nil {
			k, err = c.ImportDataKey(c, p.KeyId, material, o)
		}
	default:
		err = failure{invalidType, "ImportType is 1 for a ciphertext, or 2 for a plaintext."}
	}
	if err != nil {
		return reply{}, tooManyDataKeys(err)
	}
	code, message := untagged(p.Tags)
	return reply{fields: struct {
		KeyId, DataKeyId string
		TagCode          int
		TagMsg           string
	}{k.Key, k.ID, code, message}}, nil
}

// dataKeyParam is the parameter of an operation on one data key.
type dataKeyParam struct {
	memberAccount
	DataKeyId string `need:"dataKey"`
}

// dataKeysParam is the parameter of an operation on several data keys.
type dataKeysParam struct {
	memberAccount
	DataKeyIds []string `need:"dataKeys"`
}

func enableDataKey(c call, p *dataKeyParam) (reply, error) {
	return reply{}, c.EnableDataKeys(c, p.DataKeyId)
}
func disableDataKey(c call, p *dataKeyParam) (reply, error) {
	return reply{}, c.DisableDataKeys(c, p.DataKeyId)
}
func enableDataKeys(c call, p *dataKeysParam) (reply, error) {
	return reply{}, c.EnableDataKeys(c, p.DataKeyIds...)
}
func disableDataKeys(c call, p *dataKeysParam) (reply, error) {
	return reply{}, c.DisableDataKeys(c, p.DataKeyIds...)
}

type scheduleDataKeyDeletionParams struct {
	memberAccount
	DataKeyId           string  `need:"dataKey"`
	PendingWindowInDays *number `need:"value"`
}

func scheduleDataKeyDeletion(c call, p *scheduleDataKeyDeletionParams) (reply, error) {
	if err := checkDeletionDays(*p.PendingWindowInDays); err != nil {
		return reply{}, err
	}
	k, err := c.ScheduleDataKeyDeletion(c, p.DataKeyId, int(*p.PendingWindowInDays))
	return reply{fields: struct {
		DeletionDate int64
		DataKeyId    string
	}{unix(k.DeletionDate), p.DataKeyId}}, err
}

func cancelDataKeyDeletion(c call, p *dataKeyParam) (reply, error) {
	return reply{fields: struct{ DataKeyId string }{p.DataKeyId}}, c.CancelDataKeyDeletion(c, p.DataKeyId)
}

func getDataKeyCiphertextBlob(c call, p *dataKeyParam) (reply, error) {
	ct, err := c.DataKeyCiphertext(c, p.DataKeyId)
	return reply{fields: struct{ CiphertextBlob []byte }{ct}}, err
}

type getDataKeyPlaintextParams struct {
	DataKeyId string `need:"dataKey"`
	delivery
}

func getDataKeyPlaintext(c call, p *getDataKeyPlaintextParams) (reply, error) {
	to, err := p.readRecipient()
	if err != nil {
		return reply{}, err
	}
	if to.named {
		sealed, err := openTo(c, to, p.DataKeyId)
		return reply{plaintext: sealed}, err
	}
	plaintext, _, err := open(c, p.DataKeyId)
	return reply{plaintext: plaintext}, err
}

type updateDataKeyNameParams struct {
	memberAccount
	DataKeyId   string `need:"dataKey"`
	DataKeyName string
}

func updateDataKeyName(c call, p *updateDataKeyNameParams) (reply, error) {
	if err := checkDataKeyName(p.DataKeyName); err != nil {
		return reply{}, err
	}
	return reply{}, c.SetDataKeyName(c, p.DataKeyId, p.DataKeyName)
}

type updateDataKeyDescriptionParams struct {
	memberAccount
	DataKeyId   string  `need:"dataKey"`
	Description *string `need:"value"`
}

func updateDataKeyDescription(c call, p *updateDataKeyDescriptionParams) (reply, error) {
	if err := checkDataKeyDescription(*p.Description); err != nil {
		return reply{}, err
	}
	return reply{}, c.SetDataKeyDescription(c, p.DataKeyId, *p.Description)
}
