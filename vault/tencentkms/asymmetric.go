package tencentkms

import (
	"errors"
	"slices"

	"strongroom.example/vault"
)

type publicKeyParam struct {
	KeyId string `need:"key"`
}

func getPublicKey(c call, p *publicKeyParam) (reply, error) {
	k, err := c.PublicKey(c, p.KeyId)
	if err != nil {
		return reply{}, err
	}
	return reply{fields: struct {
		KeyId        string
		PublicKey    []byte
		PublicKeyPem string
	}{p.KeyId, k.DER, string(k.PEM())}}, nil
}

type asymmetricRsaDecryptParams struct {
	KeyId      string `need:"key"`
	Ciphertext blob   `need:"value"`
	Algorithm  string `need:"value"`
}

func asymmetricRsaDecrypt(c call, p *asymmetricRsaDecryptParams) (reply, error) {
	algorithm := vault.EncryptionAlgorithm(p.Algorithm)
	if !slices.Contains([]vault.EncryptionAlgorithm{vault.RSAESPKCS1V15, vault.RSAESOAEPSHA1, vault.RSAESOAEPSHA256}, algorithm) {
		return reply{}, failure{invalidParameter, "Algorithm is RSAES_PKCS1_V1_5, RSAES_OAEP_SHA_1 or RSAES_OAEP_SHA_256."}
	}
	return asymmetricDecrypt(c, p.KeyId, p.Ciphertext.Bytes, algorithm)
}

type asymmetricSm2DecryptParams struct {
	KeyId      string `need:"key"`
	Ciphertext blob   `need:"value"`
}

func asymmetricSm2Decrypt(c call, p *asymmetricSm2DecryptParams) (reply, error) {
	return asymmetricDecrypt(c, p.KeyId, p.Ciphertext.Bytes, vault.SM2C1C3C2)
}

// asymmetricDecrypt decrypts with a private key.
func asymmetricDecrypt(c call, key string, ct []byte, algorithm vault.EncryptionAlgorithm) (reply, error) {
	plaintext, err := c.AsymmetricDecrypt(c, key, ct, algorithm)
	switch {
	case errors.Is(err, vault.ErrInvalid):
		return reply{}, failure{invalidKeyUsage, "The CMK is not of the kind that the action decrypts with."}
	case errors.Is(err, vault.ErrTooLarge):
		return reply{}, failure{decryptError, "The ciphertext is longer than one of this CMK can be."}
	case err != nil:
		return reply{}, err
	}
	return keyAndPlaintext(key, plaintext), nil
}

// signature are the parameters that signing and verifying share.
type signature struct {
	Algorithm   string `need:"value"`
	MessageType string
}

// options returns the options of the vault. The names of algorithms and of message types are
// the same in both.
func (s signature) options() vault.SignOptions {
	return vault.SignOptions{Algorithm: vault.SignAlgorithm(s.Algorithm), MessageType: vault.MessageType(s.MessageType)}
}

type signByAsymmetricKeyParams struct {
	signature
	Message blob   `need:"value"`
	KeyId   string `need:"key"`
}

func signByAsymmetricKey(c call, p *signByAsymmetricKeyParams) (reply, error) {
	sig, err := c.Sign(c, p.KeyId, p.Message.Bytes, p.options())
	return reply{fields: struct{ Signature []byte }{sig}}, err
}

type verifyByAsymmetricKeyParams struct {
	signature
	KeyId          string `need:"key"`
	SignatureValue blob   `need:"value"`
	Message        blob   `need:"value"`
}

func verifyByAsymmetricKey(c call, p *verifyByAsymmetricKeyParams) (reply, error) {
	valid, err := c.Verify(c, p.KeyId, p.Message.Bytes, p.SignatureValue.Bytes, p.options())
	return reply{fields: struct{ SignatureValid bool }{valid}}, err
}
