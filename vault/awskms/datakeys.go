package awskms

import (
	"cmp"
	"fmt"
	"slices"

	"strongroom.example/vault"
)

// dataKeyParams are the parameters of the operations that make a data key.
type dataKeyParams struct {
	KeyId             string `need:"value" max:"2048"`
	EncryptionContext encryptionContext
	KeySpec           string
	NumberOfBytes     *int64 `range:"1-1024"`
	grantTokens
	dryRun
}

// size returns the length of the data key.
func (p *dataKeyParams) size() (int, error) {
	switch {
	case (p.NumberOfBytes == nil) == (p.KeySpec == ""):
		return 0, failure{validation, "Please specify either number of bytes or key spec."}
	case p.NumberOfBytes != nil:
		return int(*p.NumberOfBytes), nil
	case p.KeySpec == "AES_128":
		return vault.DataKey128, nil
	case p.KeySpec == "AES_256":
		return vault.DataKey256, nil
	}
	return 0, failure{validation, "KeySpec is AES_128 or AES_256."}
}

// prepare checks the parameters, and returns the CMK and the size.
func (p *dataKeyParams) prepare(c call, op vault.Operation) (key string, size int, err error) {
	k, err := c.find(p.KeyId)
	if err = cmp.Or(err, p.check()); err != nil {
		return "", 0, err
	}
	if size, err = p.size(); err != nil {
		return "", 0, err
	}
	return k.name, size, p.try(c, op, k.name, p.EncryptionContext)
}

type generateDataKeyParams struct {
	dataKeyParams
	recipient
}

func generateDataKey(c call, p *generateDataKeyParams) (reply, error) {
	if err := p.recipient.check(); err != nil {
		return reply{}, err
	}
	key, size, err := p.prepare(c, vault.OpGenerateDataKey)
	if err != nil {
		return reply{}, err
	}
	k, err := c.GenerateDataKey(c, key, size, p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	defer k.Destroy()
	var plaintext []byte
	err = k.Use(func(b []byte) error {
		plaintext = slices.Clone(b)
		return nil
	})
	r := c.dataKeyReply(slices.Clone(k.Ciphertext()), k.Key())
	r.plaintext = []field{{Name: "Plaintext", Value: plaintext}}
	return r, err
}

func generateDataKeyWithoutPlaintext(c call, p *dataKeyParams) (reply, error) {
	key, size, err := p.prepare(c, vault.OpGenerateDataKeyWithoutPlaintext)
	if err != nil {
		return reply{}, err
	}
	ct, err := c.GenerateDataKeyWithoutPlaintext(c, key, size, p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	header, err := vault.Inspect(ct)
	return c.dataKeyReply(ct, header.Key), err
}

// dataKeyReply returns the reply with an encrypted data key.
func (c call) dataKeyReply(ct []byte, id string) reply {
	return reply{fields: struct {
		CiphertextBlob []byte
		KeyId          string
	}{ct, c.handler.keyARN(id)}}
}

// dataKeyPairParams are the parameters of the operations that make a key pair.
type dataKeyPairParams struct {
	KeyId             string `need:"value" max:"2048"`
	KeyPairSpec       string `need:"value"`
	EncryptionContext encryptionContext
	grantTokens
	dryRun
}

// prepare checks the parameters, and returns the CMK and the spec.
func (p *dataKeyPairParams) prepare(c call, op vault.Operation) (key string, spec vault.KeySpec, err error) {
	k, err := c.find(p.KeyId)
	if err = cmp.Or(err, p.check()); err != nil {
		return "", "", err
	}
	row := slices.IndexFunc(keySpecs, func(s keySpec) bool {
		return s.name == p.KeyPairSpec && slices.Contains(s.usages, vault.SignVerify)
	})
	if row < 0 {
		return "", "", failure{unsupportedOperation, fmt.Sprintf("The vault does not support KeyPairSpec %.64q.", p.KeyPairSpec)}
	}
	return k.name, keySpecs[row].spec, p.try(c, op, k.name, p.EncryptionContext)
}

type generateDataKeyPairParams struct {
	dataKeyPairParams
	recipient
}

func generateDataKeyPair(c call, p *generateDataKeyPairParams) (reply, error) {
	if err := p.recipient.check(); err != nil {
		return reply{}, err
	}
	key, spec, err := p.prepare(c, vault.OpGenerateDataKeyPair)
	if err != nil {
		return reply{}, err
	}
	pair, err := c.GenerateDataKeyPair(c, key, spec, p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	r, err := c.pairReply(pair, p.KeyPairSpec)
	r.plaintext = []field{{Name: "PrivateKeyPlaintext", Value: pair.PrivateKey}}
	return r, err
}

func generateDataKeyPairWithoutPlaintext(c call, p *dataKeyPairParams) (reply, error) {
	key, spec, err := p.prepare(c, vault.OpGenerateDataKeyPairWithoutPlaintext)
	if err != nil {
		return reply{}, err
	}
	pair, err := c.GenerateDataKeyPairWithoutPlaintext(c, key, spec, p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	return c.pairReply(pair, p.KeyPairSpec)
}

// pairReply returns the reply with a key pair whose private key is encrypted.
func (c call) pairReply(pair vault.DataKeyPair, spec string) (reply, error) {
	header, err := vault.Inspect(pair.Ciphertext)
	return reply{fields: struct {
		PrivateKeyCiphertextBlob, PublicKey []byte
		KeyId, KeyPairSpec                  string
	}{pair.Ciphertext, pair.PublicKey, c.handler.keyARN(header.Key), spec}}, err
}
