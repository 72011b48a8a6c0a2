package awskms_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
)

// A program that uses an SDK gives it the handler's transport, and needs no network:
//
//	cfg.HTTPClient = &http.Client{Transport: h.RoundTripper()}
//
// This example sends a request by hand. Config.Principal accepts it without a signature,
// as for a connection that proves the principal.
func ExampleHandler_RoundTripper() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	code, err := soft.NewRecoveryCode()
	check(err)
	v, err := vault.Create(ctx, filepath.Join(dir, "keys"), vault.Config{}, code)
	check(err)
	defer v.Close()
	h, err := awskms.New(v, awskms.Config{
		Principal: func(*http.Request) (vault.Principal, bool) { return vault.DefaultOwner, true },
	})
	check(err)
	defer h.Close()

	r, err := http.NewRequest(http.MethodPost, "https://kms.local", strings.NewReader(`{}`))
	check(err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
	client := http.Client{Transport: h.RoundTripper()}
	res, err := client.Do(r)
	check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(err)
	fmt.Println(res.Status, string(body))
	// Output: 200 OK {"Keys":[],"Truncated":false}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
