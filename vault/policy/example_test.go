package policy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// The policies permit a group of programs to encrypt, and the operator everything.
func ExamplePut() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	code, err := soft.NewRecoveryCode()
	check(err)
	v, err := vault.Create(ctx, filepath.Join(dir, "keys"), vault.Config{Policies: policy.Cedar{}}, code)
	check(err)
	defer v.Close()

	operator := v.As(vault.DefaultOwner)
	_, err = operator.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	check(err)
	_, err = policy.Put(ctx, operator, policy.Set{
		Cedar: `@id("operator") permit(principal == Principal::"owner", action, resource);
			@id("apps") permit(principal in Group::"apps", action == Action::"Encrypt", resource);`,
		Groups: map[string][]vault.Principal{"apps": {"billing"}},
	})
	check(err)
	ct, err := v.As("billing").Encrypt(ctx, "invoices", []byte("4711"), nil)
	fmt.Println("Encrypt:", err)
	_, err = v.As("billing").Decrypt(ctx, ct, nil)
	fmt.Println("Decrypt is denied:", errors.Is(err, vault.ErrDenied))
	// Output:
	// Encrypt: <nil>
	// Decrypt is denied: true
}

// A Fault has the name of the policy and its place in the text. The vault has no operation
// Encode, so that the second policy is refused before it is stored.
func ExampleFault() {
	set := policy.Set{Cedar: `@id("operator") permit(principal == Principal::"owner", action, resource);
@id("apps") permit(principal, action == Action::"Encode", resource);`}
	_, err := policy.Cedar{}.Compile(set.Encode())
	var fault *policy.Fault
	if errors.As(err, &fault) {
		fmt.Println(fault.Policy, "in line", fault.Line)
	}
	// Output: apps in line 2
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
