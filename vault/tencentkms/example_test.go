package tencentkms_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
)

// A program that uses an SDK gives it the handler's transport, and needs no network:
//
//	client, err := kms.NewClient(common.NewCredential(id, key), "local", profile.NewClientProfile())
//	client.WithHttpTransport(h.RoundTripper())
//
// This example sends a request by hand, with a signature that is wrong.
func ExampleHandler_RoundTripper() {
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	code, err := soft.NewRecoveryCode()
	check(err)
	v, err := vault.Create(context.Background(), filepath.Join(dir, "keys"), vault.Config{}, code)
	check(err)
	defer v.Close()
	h, err := tencentkms.New(v, tencentkms.Config{Credentials: []tencentkms.Credential{{
		SecretID: "AKIDshop", SecretKey: []byte("at least sixteen bytes"), Principal: vault.DefaultOwner,
	}}})
	check(err)
	defer h.Close()

	r, err := http.NewRequest(http.MethodPost, "https://kms.local", bytes.NewReader([]byte("{}")))
	check(err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-TC-Action", "GetRegions")
	r.Header.Set("X-TC-Version", tencentkms.Version)
	r.Header.Set("X-TC-Timestamp", fmt.Sprint(time.Now().Unix()))
	r.Header.Set("Authorization", "none")
	client := http.Client{Transport: h.RoundTripper()}
	res, err := client.Do(r)
	check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(err)
	beginning, _, _ := bytes.Cut(body, []byte(`,"Message"`))
	fmt.Println(res.Status, string(beginning))
	// Output: 200 OK {"Response":{"Error":{"Code":"AuthFailure.InvalidAuthorization"
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
