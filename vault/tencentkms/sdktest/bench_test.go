package sdktest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	kms "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/kms/v20190118"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
)

// canned is a transport that returns the same response at once. What a call through it costs
// is the SDK's own cost.
type canned []byte

// RoundTrip implements http.RoundTripper.
func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return &http.Response{
		Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(c)), Body: io.NopCloser(bytes.NewReader(c)),
	}, nil
}

// newClient returns a client of the SDK with a transport.
func newClient(b *testing.B, transport http.RoundTripper) *kms.Client {
	b.Helper()
	c, err := kms.NewClient(common.NewCredential(secretID, secretKey), "ap-guangzhou", profile.NewClientProfile())
	if err != nil {
		b.Fatal(err)
	}
	c.WithHttpTransport(transport)
	return c
}

// BenchmarkSDK measures Encrypt of 1 KiB with its durable audit record, by one caller in the
// process. It reports the times of
//   - sdk: the SDK with a transport that does nothing,
//   - vault: Client.Encrypt,
//   - both: the SDK over the handler's transport,
//
// and "x-sum", the time of both divided by the sum of the others, as medians of turns.
func BenchmarkSDK(b *testing.B) {
	key := filepath.Join(b.TempDir(), "key")
	if err := soft.CreateKeyFile(key); err != nil {
		b.Fatal(err)
	}
	v, err := vault.Create(b.Context(), filepath.Join(b.TempDir(), "vault"), vault.Config{}, soft.KeyFile(key))
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	k, err := c.CreateKey(b.Context(), vault.KeyOptions{})
	if err != nil {
		b.Fatal(err)
	}
	h, err := tencentkms.New(v, tencentkms.Config{Credentials: []tencentkms.Credential{
		{SecretID: secretID, SecretKey: []byte(secretKey), Principal: vault.DefaultOwner},
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	plaintext := make([]byte, 1024)
	ct, err := c.Encrypt(b.Context(), k.ID, plaintext, nil)
	if err != nil {
		b.Fatal(err)
	}
	idle := newClient(b, canned(fmt.Sprintf(`{"Response":{"CiphertextBlob":%q,"KeyId":%q,"RequestId":%q}}`, base64.StdEncoding.EncodeToString(ct), k.ID, k.ID)))
	real := newClient(b, h.RoundTripper())
	through := func(client *kms.Client) func() error {
		return func() error {
			r := kms.NewEncryptRequest()
			r.KeyId, r.Plaintext = text(k.ID), encoded(plaintext)
			_, err := client.Encrypt(r)
			return err
		}
	}
	layers := []struct {
		name string
		do   func() error
	}{
		{"sdk", through(idle)},
		{"vault", func() error { _, err := c.Encrypt(b.Context(), k.ID, plaintext, nil); return err }},
		{"both", through(real)},
	}
	list := make(map[string][]float64)
	for n := 0; n < 5 || b.Loop(); n++ {
		ns := make(map[string]float64)
		for i := range layers {
			l := layers[(i+n)%len(layers)] // each is the first in turn
			ns[l.name] = timeOf(b, l.do)
		}
		for name, t := range ns {
			list[name+"-ns/op"] = append(list[name+"-ns/op"], t)
		}
		list["x-sum"] = append(list["x-sum"], ns["both"]/(ns["sdk"]+ns["vault"]))
	}
	for unit, values := range list {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
	b.ReportMetric(0, "ns/op")
}

// timeOf returns the time of one call in nanoseconds, over a turn of 100 calls.
func timeOf(b *testing.B, do func() error) float64 {
	const calls = 100
	began := time.Now()
	for range calls {
		if err := do(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(began)) / calls
}
