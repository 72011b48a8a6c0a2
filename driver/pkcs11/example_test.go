package pkcs11_test

import (
	"context"
	"fmt"
	"log"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// A vault with two protectors: a key in the token, and a recovery code for when the token
// is lost. Its keys are generated in the token.
func ExampleOpen() {
	ctx := context.Background()
	t, err := pkcs11.Open(ctx, pkcs11.Config{
		Module: "/usr/lib/softhsm/libsofthsm2.so", Label: "vault",
		PIN: pkcs11.PIN{File: "/etc/vault/pin"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	code, err := soft.NewRecoveryCode()
	if err != nil {
		log.Fatal(err)
	}
	defer code.Wipe()
	v, err := vault.Create(ctx, "keys", vault.Config{
		Drivers: map[string]driver.Driver{"hsm": t}, Driver: "hsm",
	}, t.Protector(), code)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
}

// A URI in a configuration file selects the token.
func ExampleParseURI() {
	cfg, err := pkcs11.ParseURI("pkcs11:token=vault;serial=0a1b2c?module-path=/usr/lib/libhsm.so&pin-source=file:/etc/vault/pin")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cfg.Label, cfg.Serial, cfg.Module, cfg.PIN.File)
	_, err = pkcs11.ParseURI("pkcs11:token=vault?pin-value=1234")
	fmt.Println("pin-value is refused:", err != nil)
	// Output:
	// vault 0a1b2c /usr/lib/libhsm.so /etc/vault/pin
	// pin-value is refused: true
}
