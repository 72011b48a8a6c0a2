package tpm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/driver/tpm"
	"strongroom.example/vault"
)

// A vault with two protectors: this machine's TPM, and a recovery code for when the TPM
// cannot open it. Its signing keys are generated in the TPM.
func ExampleOpen() {
	ctx := context.Background()
	t, err := tpm.Open(ctx, tpm.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	lock, err := t.Protector(tpm.Policy{})
	if err != nil {
		log.Fatal(err)
	}
	code, err := soft.NewRecoveryCode()
	if err != nil {
		log.Fatal(err)
	}
	defer code.Wipe()
	v, err := vault.Create(ctx, "keys", vault.Config{
		Drivers: map[string]driver.Driver{"tpm": t}, Driver: "tpm",
	}, lock, code)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
}

// An approver approves the state in which a machine with new firmware starts. The
// approval is signed where the approver's key is, from registers that such a machine
// reports.
func ExampleApprove() {
	ctx := context.Background()
	t, err := tpm.Open(ctx, tpm.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	state, err := t.ReadPCRs(ctx, 0, 4, 7)
	if err != nil {
		log.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	approval, err := tpm.Approve(key, state)
	if err != nil {
		log.Fatal(err)
	}
	lock, err := t.Protector(tpm.Policy{Approver: &key.PublicKey, Approvals: []tpm.Approval{approval}})
	if err != nil {
		log.Fatal(err)
	}
	_ = lock // for vault.Create or vault.Open
}
