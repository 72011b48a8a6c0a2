package awskms

import (
	"time"

	"strongroom.example/vault"
)

// keyLastUsage is the last use of a CMK. It is empty if there was none.
type keyLastUsage struct {
	Operation string `json:",omitempty"`
	Timestamp *epoch `json:",omitempty"`
}

// usageOperations are, for the usages whose CMKs have one operation of each kind, the one that
// KeyUses.Protected counts and the one that KeyUses.Processed counts. Several operations use a
// CMK of EncryptDecrypt, and the vault does not store which of them was the last.
var usageOperations = map[vault.KeyUsage][2]string{
	vault.AsymmetricDecrypt: {"Encrypt", "Decrypt"},
	vault.SignVerify:        {"Sign", "Verify"},
	vault.GenerateVerifyMac: {"GenerateMac", "VerifyMac"},
}

// lastUsage returns the last use of a CMK. Of two at the same time it is the one that processes,
// because what it processes was made before.
func lastUsage(usage vault.KeyUsage, uses vault.KeyUses) keyLastUsage {
	op, at := usageOperations[usage][0], uses.LastProtected
	if !uses.LastProcessed.Before(at) {
		op, at = usageOperations[usage][1], uses.LastProcessed
	}
	if at.IsZero() {
		return keyLastUsage{}
	}
	return keyLastUsage{op, stamp(at)}
}

// getKeyLastUsage returns the last use of a CMK, which the vault counts from its creation. The
// uses of a CMK of before a restore may be unknown, and so that one has no TrackingStartDate.
func getKeyLastUsage(c call, p *keyParam) (reply, error) {
	id, err := p.id(c)
	if err != nil {
		return reply{}, err
	}
	k, err := c.existing(id)
	if err != nil {
		return reply{}, err
	}
	tracked := k.Created
	if k.Uses.Incomplete {
		tracked = time.Time{}
	}
	return reply{fields: struct {
		KeyId             string
		KeyLastUsage      keyLastUsage
		TrackingStartDate *epoch `json:",omitempty"`
		KeyCreationDate   *epoch
	}{id, lastUsage(k.Usage, *k.Uses), stamp(tracked), stamp(k.Created)}}, nil
}
