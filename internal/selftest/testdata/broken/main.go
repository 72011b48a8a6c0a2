// Broken creates or opens a vault, in a build whose cryptography a test has broken. It
// prints "refused" if the self-test rejected that, and otherwise the result.
//
//	broken create|open DIR EDITION
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

func main() {
	call, dir := os.Args[1], os.Args[2]
	cfg := vault.Config{}
	for _, e := range []vault.Edition{vault.Standard, vault.FIPS, vault.SM} {
		if e.String() == os.Args[3] {
			cfg.Edition = e
		}
	}
	do := vault.Open
	if call == "create" {
		do = vault.Create
	}
	light := soft.PassphraseParams{Memory: 8, Time: 1, Iterations: 1}
	v, err := do(context.Background(), dir, cfg, light.Passphrase([]byte("passphrase")))
	switch {
	case err == nil:
		fmt.Println(call, "succeeds:", v.Close())
	case errors.Is(err, vault.ErrSelfTest):
		fmt.Print("refused")
	default:
		fmt.Println(call, "fails:", err)
	}
}
