package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"strongroom.example/vault/stream"
)

// fixedKey is a data key for the example. A program uses that of a vault.
type fixedKey struct{}

func (fixedKey) Ciphertext() []byte                 { return []byte("names the key") }
func (fixedKey) Use(f func(key []byte) error) error { return f(make([]byte, 32)) }

// A stream is complete only after Close, and a truncated stream is an error. The example of
// vault.Client.GenerateDataKey has a stream under a vault's data key.
func Example() {
	var sealed bytes.Buffer
	w, err := stream.NewWriter(&sealed, stream.AES256GCM, fixedKey{})
	check(err)
	_, err = io.Copy(w, strings.NewReader("a long story"))
	check(err)
	check(w.Close())

	open := func(ciphertext []byte) (stream.DataKey, error) { return fixedKey{}, nil }
	for _, size := range []int{sealed.Len(), sealed.Len() - 1} {
		r, err := stream.NewReader(bytes.NewReader(sealed.Bytes()[:size]), open)
		check(err)
		text, err := io.ReadAll(r)
		fmt.Printf("%q, truncated: %t\n", text, errors.Is(err, stream.ErrStream))
		check(r.Close())
	}
	// Output:
	// "a long story", truncated: false
	// "", truncated: true
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
