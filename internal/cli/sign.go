package cli

import (
	"bytes"
	"context"
	"crypto"
	_ "crypto/sha256" // the hashes of signatures over files
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// signFlags are the flags of sign and verify.
type signFlags struct {
	transfer
	options   vault.SignOptions
	digest    bool
	sm2ID     string
	signature string
}

func (f *signFlags) add(c *cobra.Command, text string) {
	f.addFlags(c, text)
	c.Flags().StringVar((*string)(&f.options.Algorithm), "algorithm", "", "the signature `algorithm`; default that of the key's spec")
	c.Flags().BoolVar(&f.digest, "digest", false, "the input is the digest of the message")
	c.Flags().StringVar(&f.sm2ID, "sm2-id", "", "the signer's `id` for SM2")
	must(c.RegisterFlagCompletionFunc("algorithm", fixed(
		string(vault.RSAPSSSHA256), string(vault.RSAPSSSHA384), string(vault.RSAPSSSHA512),
		string(vault.RSAPKCS1SHA256), string(vault.RSAPKCS1SHA384), string(vault.RSAPKCS1SHA512),
		string(vault.ECCP256R1), string(vault.ECCP384R1), string(vault.ECCP521R1), string(vault.EdDSA), string(vault.SM2DSA))))
}

func (a *app) signCommand() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use: "sign KEY", Short: "Sign a file", Args: cobra.ExactArgs(1),
		Long: "sign signs the standard input. A message above 4096 bytes is hashed by this program, and the vault signs the\n" +
			"digest, which gives the same kind of signature; with Ed25519 it is an error. An RSA key signs by\n" +
			"RSA_PSS_SHA_256: openssl dgst then needs -sigopt rsa_padding_mode:pss and -sigopt rsa_pss_saltlen:-1. It needs none\n" +
			"for RSA_PKCS1_SHA_256.",
		Example: "  strongroom sign release-key --in app.tar --out app.tar.sig\n  strongroom public-key release-key > key.pem\n" +
			"  openssl dgst -sha256 -verify key.pem -signature app.tar.sig app.tar",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			message, err := a.message(ctx, s, args[0], &f)
			if err != nil {
				return err
			}
			signature, err := s.Client().Sign(ctx, args[0], message, f.options)
			if err != nil {
				return err
			}
			return a.writeOutput(ctx, f.out, encode(signature, f.text), !f.text)
		}),
	}
	f.add(c, "write the signature in base64")
	return c
}

func (a *app) verifyCommand() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use: "verify KEY", Short: "Verify a signature", Args: cobra.ExactArgs(1),
		Long:    "verify verifies a signature of the standard input. It exits with 6 if the signature is wrong.",
		Example: "  strongroom verify release-key --in app.tar --signature app.tar.sig",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			signature, err := a.signature(ctx, &f)
			if err != nil {
				return err
			}
			message, err := a.message(ctx, s, args[0], &f)
			if err != nil {
				return err
			}
			ok, err := s.Client().Verify(ctx, args[0], message, signature, f.options)
			if err == nil && !ok {
				err = fmt.Errorf("%w: the signature is wrong", errNotAuthentic)
			}
			if err != nil {
				return err
			}
			return a.one(map[string]bool{"valid": true}, "signature", "valid")
		}),
	}
	f.add(c, "the signature is in base64")
	c.Flags().Lookup("out").Hidden = true
	c.Flags().StringVar(&f.signature, "signature", "", "the `file` with the signature")
	must(c.MarkFlagRequired("signature"))
	return c
}

func (a *app) signature(ctx context.Context, f *signFlags) ([]byte, error) {
	b, err := a.readInput(ctx, f.signature, 4096)
	if err != nil {
		return nil, err
	}
	return decode(b, f.text)
}

// message returns what the vault signs: the input, or if that is larger than the vault
// takes its digest.
func (a *app) message(ctx context.Context, s *session.Session, key string, f *signFlags) ([]byte, error) {
	f.options.SM2ID = []byte(f.sm2ID)
	in := stoppableReader(ctx, a.stdin)
	if f.in != "" && f.in != "-" {
		file, err := os.Open(f.in)
		if err != nil {
			return nil, notThere(err)
		}
		defer file.Close()
		in = file
	}
	if f.digest {
		f.options.MessageType = vault.Digest
	}
	start := make([]byte, vault.MaxMessage+1)
	n, err := io.ReadFull(in, start)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return start[:n], nil
	}
	if err != nil {
		return nil, err
	}
	if f.digest {
		return nil, usage("the digest is longer than any hash")
	}
	f.options.MessageType = vault.Digest
	id := f.options.SM2ID
	f.options.SM2ID = nil // the digest covers it
	return digest(ctx, s, key, vault.SignOptions{Algorithm: f.options.Algorithm, SM2ID: id}, io.MultiReader(bytes.NewReader(start), in))
}

// digest returns the digest of a message for a key's signatures.
func digest(ctx context.Context, s *session.Session, key string, o vault.SignOptions, message io.Reader) ([]byte, error) {
	public, err := s.Client().PublicKey(ctx, key)
	if err != nil {
		return nil, err
	}
	if public.Spec == vault.SM2 {
		return vault.SM2Digest(public.DER, o.SM2ID, message)
	}
	name := string(o.Algorithm)
	if name == "" {
		name = string(public.Spec)
	}
	var hash crypto.Hash
	switch {
	case public.Spec == vault.Ed25519:
		return nil, usage("an Ed25519 key signs messages of at most %d bytes", vault.MaxMessage)
	case strings.HasSuffix(name, "512") || strings.Contains(name, "P521"):
		hash = crypto.SHA512
	case strings.Contains(name, "384"):
		hash = crypto.SHA384
	default:
		hash = crypto.SHA256
	}
	h := hash.New()
	if _, err := io.Copy(h, message); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

func (a *app) publicKeyCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "public-key KEY", Short: "Print the public half of a key in PEM", Args: cobra.ExactArgs(1),
		Example: "  strongroom public-key release-key > key.pem",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			k, err := s.Client().PublicKey(ctx, args[0])
			if err != nil {
				return err
			}
			if a.format == formatJSON {
				return a.one(map[string]any{"key": k.Key, "spec": k.Spec, "usage": k.Usage, "der": k.DER})
			}
			return a.writeOutput(ctx, out, k.PEM(), false)
		}),
	}
	c.Flags().StringVar(&out, "out", "", "write this new `file` instead of the standard output")
	return c
}
