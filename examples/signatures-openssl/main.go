// Signatures-openssl signs a file by RSA, ECC and SM2 keys of the vault, from the message and
// from its digest, and has openssl verify each signature with the public key alone.
//
//	go run ./examples/signatures-openssl
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

// A way is an algorithm, with the command line by which openssl verifies.
type way struct {
	spec   vault.KeySpec
	alg    vault.SignAlgorithm
	verify string
}

const files = " -verify public.pem -signature release.sig release.txt"

var ways = []way{
	{vault.ECCP256, vault.ECCP256R1, "dgst -sha256" + files},
	{vault.RSA2048, vault.RSAPSSSHA256, "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1" + files},
	{vault.RSA2048, vault.RSAPKCS1SHA256, "dgst -sha256" + files},
	{vault.SM2, vault.SM2DSA, "pkeyutl -verify -pubin -inkey public.pem -sigfile release.sig -in release.txt" +
		" -rawin -digest sm3 -pkeyopt distid:" + vault.SM2DefaultID},
}

// release is the file to be signed. A newline more or less changes the signature.
var release = []byte("strongroom-1.0.tar.gz 9f2c\n")

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	code, err := soft.NewRecoveryCode() // a real program keeps it
	if err != nil {
		return err
	}
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{}, code)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if err := os.WriteFile(filepath.Join(dir, "release.txt"), release, 0o600); err != nil {
		return err
	}
	for _, x := range ways {
		if err := x.try(ctx, w, v.As(vault.DefaultOwner), dir); err != nil {
			return fmt.Errorf("%s: %w", x.alg, err)
		}
	}
	return nil
}

// try makes a key, signs the file and its digest, and verifies both.
func (x way) try(ctx context.Context, w io.Writer, c vault.Client, dir string) error {
	key, err := c.CreateKey(ctx, vault.KeyOptions{Usage: vault.SignVerify, Spec: x.spec})
	if err != nil {
		return err
	}
	public, err := c.PublicKey(ctx, key.ID)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "public.pem"), public.PEM(), 0o644); err != nil {
		return err
	}
	digest, err := x.digest(public)
	if err != nil {
		return err
	}
	// A message may have 4096 bytes. A larger file is signed by its digest.
	for _, m := range []struct {
		kind  vault.MessageType
		input []byte
	}{{vault.Raw, release}, {vault.Digest, digest}} {
		signature, err := c.Sign(ctx, key.ID, m.input, vault.SignOptions{Algorithm: x.alg, MessageType: m.kind})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "release.sig"), signature, 0o600); err != nil {
			return err
		}
		result, err := demo.OpenSSL(ctx, w, dir, strings.Fields(x.verify)...)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s, %s: %s\n", x.alg, m.kind, result)
	}
	return nil
}

// digest returns the digest of the file. That of SM2 is SM3 over Z, which depends on the
// public key, and the message.
func (x way) digest(public vault.PublicKey) ([]byte, error) {
	if x.alg == vault.SM2DSA {
		return vault.SM2Digest(public.DER, nil, bytes.NewReader(release))
	}
	sum := sha256.Sum256(release)
	return sum[:], nil
}
