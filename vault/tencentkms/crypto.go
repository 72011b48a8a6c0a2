package tencentkms

import (
	"maps"
	"slices"

	"strongroom.example/vault"
)

type encryptParams struct {
	KeyId             string `need:"key"`
	Plaintext         blob   `need:"value" code:"InvalidParameterValue.InvalidPlaintext"`
	EncryptionContext string
}

func encrypt(c call, p *encryptParams) (reply, error) {
	ec, err := parseContext(p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	ct, err := c.Encrypt(c, p.KeyId, p.Plaintext.Bytes, ec)
	return reply{fields: struct {
		CiphertextBlob []byte
		KeyId          string
	}{ct, p.KeyId}}, err
}

type decryptParams struct {
	CiphertextBlob    blob `need:"value" code:"InvalidParameterValue.InvalidCiphertext"`
	EncryptionContext string
	delivery
}

func decrypt(c call, p *decryptParams) (reply, error) {
	ec, err := parseContext(p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	to, err := p.readRecipient()
	if err != nil {
		return reply{}, err
	}
	var plaintext []byte
	if to.named {
		plaintext, err = c.DecryptTo(c, to.Recipient, p.CiphertextBlob.Bytes, ec)
	} else {
		plaintext, err = c.Decrypt(c, p.CiphertextBlob.Bytes, ec)
	}
	if err == nil && to.raw {
		plaintext, err = rawSM2(plaintext)
	}
	if err != nil {
		return reply{}, err
	}
	header, err := vault.Inspect(p.CiphertextBlob.Bytes)
	return keyAndPlaintext(header.Key, plaintext), err
}

// keyAndPlaintext returns the reply of an operation that decrypts.
func keyAndPlaintext(key string, plaintext []byte) reply {
	if plaintext == nil {
		plaintext = []byte{} // the field is there, and empty
	}
	return reply{fields: struct{ KeyId string }{key}, plaintext: plaintext}
}

type reEncryptParams struct {
	CiphertextBlob               blob   `need:"value" code:"InvalidParameterValue.InvalidCiphertext"`
	DestinationKeyId             string `need:"key?"`
	SourceEncryptionContext      string
	DestinationEncryptionContext string
}

// reEncrypt returns the former ciphertext, with ReEncrypted false, if CMK, version and context
// are the same as before. The vault decides and records the operation in this case too.
func reEncrypt(c call, p *reEncryptParams) (reply, error) {
	from, err := parseContext(p.SourceEncryptionContext)
	if err != nil {
		return reply{}, err
	}
	to, err := parseContext(p.DestinationEncryptionContext)
	if err != nil {
		return reply{}, err
	}
	ct, err := c.ReEncrypt(c, p.CiphertextBlob.Bytes, p.DestinationKeyId, from, to)
	if err != nil {
		return reply{}, err
	}
	before, err := vault.Inspect(p.CiphertextBlob.Bytes)
	if err != nil {
		return reply{}, err
	}
	after, err := vault.Inspect(ct)
	changed := before != after || !maps.Equal(from, to)
	if !changed {
		ct = slices.Clone(p.CiphertextBlob.Bytes) // the parameter is wiped
	}
	return reply{fields: struct {
		CiphertextBlob     []byte
		KeyId, SourceKeyId string
		ReEncrypted        bool
	}{ct, after.Key, before.Key, changed}}, err
}

type generateDataKeyParams struct {
	KeyId             string `need:"key"`
	KeySpec           string
	NumberOfBytes     *number
	EncryptionContext string
	delivery
	IsHostedByKms *number
	DataKeyName   string
	Description   string
	HsmClusterId  string
	Tags          []tag
}

// size returns the length of the data key. NumberOfBytes goes before KeySpec.
func (p *generateDataKeyParams) size() (int, error) {
	switch {
	case p.NumberOfBytes != nil && (*p.NumberOfBytes < 1 || *p.NumberOfBytes > vault.MaxRandom):
		return 0, failure{invalidParameter, "NumberOfBytes is 1 to 1024."}
	case p.NumberOfBytes != nil:
		return int(*p.NumberOfBytes), nil
	case p.KeySpec == "AES_128":
		return vault.DataKey128, nil
	case p.KeySpec == "AES_256":
		return vault.DataKey256, nil
	case p.KeySpec == "":
		return 0, failure{missingParameter, "One of the parameters KeySpec and NumberOfBytes is needed."}
	}
	return 0, failure{invalidParameter, "KeySpec is AES_128 or AES_256."}
}

func generateDataKey(c call, p *generateDataKeyParams) (reply, error) {
	kept := p.IsHostedByKms != nil && *p.IsHostedByKms == 1
	if p.IsHostedByKms != nil && *p.IsHostedByKms > 1 {
		return reply{}, failure{invalidParameter, "IsHostedByKms is 0 or 1."}
	}
	size, err := p.size()
	if err != nil {
		return reply{}, err
	}
	ec, err := parseContext(p.EncryptionContext)
	if err != nil {
		return reply{}, err
	}
	to, err := p.readRecipient()
	if err != nil {
		return reply{}, err
	}
	if err := c.checkClusterOf(p.KeyId, p.HsmClusterId); err != nil {
		return reply{}, err
	}
	out := generatedDataKey{KeyId: p.KeyId}
	var plaintext []byte
	if kept {
		out.TagCode, out.TagMsg = untagged(p.Tags)
		plaintext, out.CiphertextBlob, out.DataKeyId, err = keepDataKey(c, p, size, ec, to)
	} else {
		plaintext, out.CiphertextBlob, err = newDataKey(c, p.KeyId, size, ec, to)
	}
	return reply{plaintext: plaintext, fields: out}, err
}

type generatedDataKey struct {
	KeyId          string
	CiphertextBlob []byte
	DataKeyId      string
	TagCode        int
	TagMsg         string
}

// newDataKey makes a data key, and returns its plaintext, encrypted to the recipient if there is
// one, with the ciphertext. The caller wipes the plaintext.
func newDataKey(c call, key string, size int, ec vault.EncryptionContext, to recipient) (plaintext, ct []byte, err error) {
	if to.named {
		k, err := c.GenerateDataKeyTo(c, to.Recipient, key, size, ec)
		if err == nil && to.raw {
			k.Sealed, err = rawSM2(k.Sealed)
		}
		return k.Sealed, k.Ciphertext, err
	}
	k, err := c.GenerateDataKey(c, key, size, ec)
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

type generateRandomParams struct {
	NumberOfBytes *number `need:"value"`
}

func generateRandom(c call, p *generateRandomParams) (reply, error) {
	if *p.NumberOfBytes < 1 || *p.NumberOfBytes > vault.MaxRandom {
		return reply{}, failure{invalidParameter, "NumberOfBytes is 1 to 1024."}
	}
	b, err := c.GenerateRandom(c, int(*p.NumberOfBytes))
	return reply{plaintext: b}, err
}
