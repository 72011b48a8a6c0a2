package awskms

import (
	"cmp"
	"fmt"

	"strongroom.example/vault"
)

// signParams are the parameters that signing and verifying share.
type signParams struct {
	KeyId            string `need:"value" max:"2048"`
	Message          blob   `need:"value" max:"4096"`
	MessageType      string
	SigningAlgorithm string `need:"value"`
	grantTokens
	dryRun
}

// prepare checks the parameters, and returns the id of the CMK and the options of the vault.
func (p *signParams) prepare(c call, op vault.Operation) (id string, o vault.SignOptions, err error) {
	if err := p.check(); err != nil {
		return "", o, err
	}
	o.MessageType = vault.MessageType(cmp.Or(p.MessageType, string(vault.Raw)))
	if o.MessageType != vault.Raw && o.MessageType != vault.Digest {
		return "", o, failure{validation, "MessageType is RAW or DIGEST."}
	}
	for _, row := range signAlgorithms {
		if row.name != p.SigningAlgorithm {
			continue
		}
		if n := len(p.Message.Bytes); o.MessageType == vault.Digest && n != row.digest {
			return "", o, failure{validation, fmt.Sprintf("Digest is invalid length for algorithm %s: it has %d bytes, not %d.", row.name, n, row.digest)}
		}
		o.Algorithm = row.vault
	}
	if o.Algorithm == "" {
		return "", o, failure{validation, fmt.Sprintf("SigningAlgorithm %.64q does not exist in the vault.", p.SigningAlgorithm)}
	}
	if id, err = c.identify(p.KeyId); err != nil {
		return "", o, err
	}
	return id, o, p.try(c, op, id, nil)
}

func sign(c call, p *signParams) (reply, error) {
	id, o, err := p.prepare(c, vault.OpSign)
	if err != nil {
		return reply{}, err
	}
	sig, err := c.Sign(c, id, p.Message.Bytes, o)
	return reply{fields: struct {
		KeyId            string
		Signature        []byte
		SigningAlgorithm string
	}{c.handler.keyARN(id), sig, p.SigningAlgorithm}}, err
}

type verifyParams struct {
	signParams
	Signature blob `need:"value" max:"6144"`
}

// verify fails for a signature that is wrong, as the service does.
func verify(c call, p *verifyParams) (reply, error) {
	id, o, err := p.prepare(c, vault.OpVerify)
	if err != nil {
		return reply{}, err
	}
	valid, err := c.Verify(c, id, p.Message.Bytes, p.Signature.Bytes, o)
	if err == nil && !valid {
		err = failure{invalidKMSSignature, "The signature is not one of this message by this key."}
	}
	return reply{fields: struct {
		KeyId            string
		SignatureValid   bool
		SigningAlgorithm string
	}{c.handler.keyARN(id), valid, p.SigningAlgorithm}}, err
}

// macParams are the parameters that making and verifying a MAC share.
type macParams struct {
	KeyId        string `need:"value" max:"2048"`
	Message      blob   `need:"value" max:"4096"`
	MacAlgorithm string `need:"value"`
	grantTokens
	dryRun
}

// prepare checks the parameters, and returns the id of the CMK. It asks the vault for the spec,
// which determines the algorithm, and so needs the permission DescribeKey.
func (p *macParams) prepare(c call, op vault.Operation) (string, error) {
	key, err := c.find(p.KeyId)
	if err = cmp.Or(err, p.check()); err != nil {
		return "", err
	}
	k, err := c.existing(key.name)
	if err != nil {
		return "", err
	}
	if k.Usage == vault.GenerateVerifyMac && macAlgorithms[k.Spec] != p.MacAlgorithm {
		return "", failure{invalidKeyUsage, fmt.Sprintf("MacAlgorithm %.64q is not that of a key of spec %s.", p.MacAlgorithm, specName(k.Spec))}
	}
	return k.ID, p.try(c, op, k.ID, nil)
}

func generateMac(c call, p *macParams) (reply, error) {
	id, err := p.prepare(c, vault.OpGenerateMac)
	if err != nil {
		return reply{}, err
	}
	mac, err := c.GenerateMac(c, id, p.Message.Bytes)
	return reply{fields: struct {
		KeyId        string
		Mac          []byte
		MacAlgorithm string
	}{c.handler.keyARN(id), mac, p.MacAlgorithm}}, err
}

type verifyMacParams struct {
	macParams
	Mac blob `need:"value" max:"6144"`
}

// verifyMac fails for a MAC that is wrong, as the service does.
func verifyMac(c call, p *verifyMacParams) (reply, error) {
	id, err := p.prepare(c, vault.OpVerifyMac)
	if err != nil {
		return reply{}, err
	}
	valid, err := c.VerifyMac(c, id, p.Message.Bytes, p.Mac.Bytes)
	if err == nil && !valid {
		err = failure{invalidMAC, "The MAC is not one of this message by this key."}
	}
	return reply{fields: struct {
		KeyId        string
		MacValid     bool
		MacAlgorithm string
	}{c.handler.keyARN(id), valid, p.MacAlgorithm}}, err
}

type getPublicKeyParams struct {
	KeyId string `need:"value" max:"2048"`
	grantTokens
}

func getPublicKey(c call, p *getPublicKeyParams) (reply, error) {
	key, err := c.find(p.KeyId)
	if err = cmp.Or(err, p.check()); err != nil {
		return reply{}, err
	}
	k, err := c.PublicKey(c, key.name)
	if err != nil {
		return reply{}, err
	}
	return reply{fields: struct {
		KeyId                                    string
		PublicKey                                []byte
		CustomerMasterKeySpec, KeySpec, KeyUsage string
		algorithms
	}{c.handler.keyARN(k.Key), k.DER, specName(k.Spec), specName(k.Spec), usageName(k.Usage),
		algorithmsOf(k.Usage, k.Spec, c.handler.vault.Edition())}}, nil
}
