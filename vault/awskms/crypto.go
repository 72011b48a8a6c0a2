package awskms

import (
	"cmp"
	"fmt"

	"strongroom.example/vault"
)

// encryptionContext is the parameter of that name.
type encryptionContext = vault.EncryptionContext

// checkSymmetric refuses an algorithm that is not that of symmetric keys.
func checkSymmetric(algorithm string) error {
	if cmp.Or(algorithm, symmetricDefault) != symmetricDefault {
		return failure{unsupportedOperation, fmt.Sprintf("The vault supports EncryptionAlgorithm %s for this, not %.64q.", symmetricDefault, algorithm)}
	}
	return nil
}

// asymmetric returns the algorithm of the vault.
func asymmetric(name string) (vault.EncryptionAlgorithm, error) {
	for _, row := range encryptionAlgorithms {
		if row.name == name {
			return row.vault, nil
		}
	}
	return "", failure{validation, fmt.Sprintf("EncryptionAlgorithm %.64q does not exist in the vault.", name)}
}

type encryptParams struct {
	KeyId               string `need:"value" max:"2048"`
	Plaintext           blob   `need:"value" max:"4096"`
	EncryptionContext   encryptionContext
	EncryptionAlgorithm string
	grantTokens
	dryRun
}

func encrypt(c call, p *encryptParams) (reply, error) {
	key, err := c.find(p.KeyId)
	if err = cmp.Or(err, p.check()); err != nil {
		return reply{}, err
	}
	if cmp.Or(p.EncryptionAlgorithm, symmetricDefault) != symmetricDefault {
		return asymmetricEncrypt(c, p)
	}
	if err := p.try(c, vault.OpEncrypt, key.name, p.EncryptionContext); err != nil {
		return reply{}, err
	}
	ct, err := c.Encrypt(c, key.name, p.Plaintext.Bytes, p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	header, err := vault.Inspect(ct)
	return reply{fields: struct {
		CiphertextBlob             []byte
		KeyId, EncryptionAlgorithm string
	}{ct, c.handler.keyARN(header.Key), symmetricDefault}}, err
}

// asymmetricEncrypt encrypts to a public key.
func asymmetricEncrypt(c call, p *encryptParams) (reply, error) {
	algorithm, err := asymmetric(p.EncryptionAlgorithm)
	if err != nil {
		return reply{}, err
	}
	if len(p.EncryptionContext) > 0 {
		return reply{}, failure{validation, "Asymmetric encryption takes no EncryptionContext."}
	}
	id, err := c.identify(p.KeyId)
	if err != nil {
		return reply{}, err
	}
	if err := p.try(c, vault.OpAsymmetricEncrypt, id, nil); err != nil {
		return reply{}, err
	}
	ct, err := c.AsymmetricEncrypt(c, id, p.Plaintext.Bytes, algorithm)
	return reply{fields: struct {
		CiphertextBlob             []byte
		KeyId, EncryptionAlgorithm string
	}{ct, c.handler.keyARN(id), p.EncryptionAlgorithm}}, err
}

type decryptParams struct {
	CiphertextBlob      blob `need:"value" max:"6144"`
	EncryptionContext   encryptionContext
	KeyId               string `max:"2048"`
	EncryptionAlgorithm string
	DryRunModifiers     []string
	grantTokens
	recipient
	dryRun
}

func decrypt(c call, p *decryptParams) (reply, error) {
	if err := cmp.Or(p.grantTokens.check(), p.recipient.check(), checkModifiers(p.DryRunModifiers)); err != nil {
		return reply{}, err
	}
	if cmp.Or(p.EncryptionAlgorithm, symmetricDefault) != symmetricDefault {
		return asymmetricDecrypt(c, p)
	}
	header, err := c.inspect(p.CiphertextBlob.Bytes, p.KeyId)
	if err != nil {
		return reply{}, err
	}
	if err := p.try(c, vault.OpDecrypt, header.Key, p.EncryptionContext); err != nil {
		return reply{}, err
	}
	plaintext, err := c.Decrypt(c, p.CiphertextBlob.Bytes, p.EncryptionContext)
	return plaintextReply(c.handler.keyARN(header.Key), symmetricDefault, plaintext), err
}

// checkModifiers refuses the parameter DryRunModifiers.
func checkModifiers(modifiers []string) error {
	if len(modifiers) > 0 {
		return failure{unsupportedOperation, "The vault has no DryRunModifiers; remove the parameter."}
	}
	return nil
}

// inspect returns the header of a ciphertext, and fails if it names another CMK than the
// caller, who need not name one.
func (c call) inspect(ct []byte, key string) (vault.Ciphertext, error) {
	wanted := ""
	if key != "" {
		id, err := c.identify(key)
		if err != nil {
			return vault.Ciphertext{}, err
		}
		wanted = id
	}
	header, err := vault.Inspect(ct)
	if err == nil && wanted != "" && wanted != header.Key {
		err = failure{incorrectKey, "The key ID in the request does not identify a key that can perform this operation."}
	}
	return header, err
}

// plaintextReply returns the reply of an operation that decrypts.
func plaintextReply(arn, algorithm string, plaintext []byte) reply {
	return reply{plaintext: []field{{Name: "Plaintext", Value: plaintext}}, fields: struct{ KeyId, EncryptionAlgorithm string }{arn, algorithm}}
}

// asymmetricDecrypt decrypts with a private key.
func asymmetricDecrypt(c call, p *decryptParams) (reply, error) {
	algorithm, err := asymmetric(p.EncryptionAlgorithm)
	if err != nil {
		return reply{}, err
	}
	if p.KeyId == "" || len(p.EncryptionContext) > 0 {
		return reply{}, failure{validation, "Asymmetric decryption needs KeyId, and takes no EncryptionContext."}
	}
	id, err := c.identify(p.KeyId)
	if err != nil {
		return reply{}, err
	}
	if err := p.try(c, vault.OpAsymmetricDecrypt, id, nil); err != nil {
		return reply{}, err
	}
	plaintext, err := c.AsymmetricDecrypt(c, id, p.CiphertextBlob.Bytes, algorithm)
	return plaintextReply(c.handler.keyARN(id), p.EncryptionAlgorithm, plaintext), err
}

type reEncryptParams struct {
	CiphertextBlob                 blob   `need:"value" max:"6144"`
	DestinationKeyId               string `need:"value" max:"2048"`
	SourceKeyId                    string `max:"2048"`
	SourceEncryptionContext        encryptionContext
	DestinationEncryptionContext   encryptionContext
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
	DryRunModifiers                []string
	grantTokens
	dryRun
}

func reEncrypt(c call, p *reEncryptParams) (reply, error) {
	to, err := c.find(p.DestinationKeyId)
	if err = cmp.Or(err, p.check(), checkModifiers(p.DryRunModifiers), checkSymmetric(p.SourceEncryptionAlgorithm), checkSymmetric(p.DestinationEncryptionAlgorithm)); err != nil {
		return reply{}, err
	}
	from, err := c.inspect(p.CiphertextBlob.Bytes, p.SourceKeyId)
	if err != nil {
		return reply{}, err
	}
	if p.DryRun {
		if err := c.Client.DryRun(c, vault.OpReEncryptFrom, from.Key, p.SourceEncryptionContext); err != nil {
			return reply{}, err
		}
	}
	if err := p.try(c, vault.OpReEncryptTo, to.name, p.DestinationEncryptionContext); err != nil {
		return reply{}, err
	}
	ct, err := c.ReEncrypt(c, p.CiphertextBlob.Bytes, to.name, p.SourceEncryptionContext, p.DestinationEncryptionContext)
	if err != nil {
		return reply{}, err
	}
	header, err := vault.Inspect(ct)
	return reply{fields: struct {
		CiphertextBlob                                            []byte
		KeyId, SourceKeyId                                        string
		SourceEncryptionAlgorithm, DestinationEncryptionAlgorithm string
	}{ct, c.handler.keyARN(header.Key), c.handler.keyARN(from.Key), symmetricDefault, symmetricDefault}}, err
}

type generateRandomParams struct {
	NumberOfBytes    *int64 `need:"value" range:"1-1024"`
	CustomKeyStoreId string
	recipient
}

func generateRandom(c call, p *generateRandomParams) (reply, error) {
	if err := p.check(); err != nil {
		return reply{}, err
	}
	if p.CustomKeyStoreId != "" {
		return reply{}, failure{unsupportedOperation, "The vault mixes the randomness of its devices; remove the parameter CustomKeyStoreId."}
	}
	b, err := c.GenerateRandom(c, int(*p.NumberOfBytes))
	return reply{plaintext: []field{{Name: "Plaintext", Value: b}}}, err
}
