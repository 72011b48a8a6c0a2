package cli

import (
	"bytes"
	"context"
	"encoding/base64"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/suite"
	"strongroom.example/vault"
)

// maxCiphertext bounds the input of decrypt: a ciphertext, in base64 with newlines.
const maxCiphertext = (vault.MaxPlaintext + vault.Overhead) * 2

// transfer holds the flags of commands from an input to an output.
type transfer struct {
	in, out string
	text    bool
	context []string
}

func (t *transfer) addFlags(c *cobra.Command, text string) {
	f := c.Flags()
	f.StringVarP(&t.in, "in", "i", "", "read this `file` instead of the standard input")
	f.StringVar(&t.out, "out", "", "write this new `file` instead of the standard output")
	if text != "" {
		f.BoolVar(&t.text, "base64", false, text)
	}
}

func (t *transfer) addContext(c *cobra.Command) {
	c.Flags().StringArrayVarP(&t.context, "context", "c", nil, "a pair of the encryption context, `name=value`; may be repeated")
}

// readCiphertext reads the ciphertext of a command that opens one.
func (a *app) readCiphertext(ctx context.Context, t transfer) ([]byte, error) {
	ct, err := a.readInput(ctx, t.in, maxCiphertext)
	if err != nil {
		return nil, err
	}
	switch {
	case t.text:
		return decode(ct, true)
	case bytes.HasPrefix(ct, []byte("SRS")):
		return nil, usage("the input is a sealed file: \"strongroom open\" opens it, and \"strongroom seal\" encrypts it again")
	case looksLikeBase64(ct):
		return nil, usage("the input is base64: use --base64")
	}
	return ct, nil
}

// looksLikeBase64 reports whether ct is the base64 of a ciphertext, all of which begin with
// the same bytes.
func looksLikeBase64(ct []byte) bool {
	return bytes.HasPrefix(ct, base64.StdEncoding.AppendEncode(nil, []byte("SRC")))
}

func (a *app) encryptCommand() *cobra.Command {
	var t transfer
	c := &cobra.Command{
		Use: "encrypt KEY", Short: "Encrypt up to 4096 bytes", Args: cobra.ExactArgs(1),
		Long:    "encrypt encrypts the standard input under a key, and writes the ciphertext to the standard output.",
		Example: "  printf 4711 | strongroom encrypt invoices --context tenant=7 > pin.ct\n  strongroom encrypt invoices --in pin --base64",
		RunE: a.command(func(ctx context.Context, s *session.Session, args []string) error {
			ec, err := parsePairs(t.context)
			if err == nil {
				err = a.checkOutput(t.out, !t.text)
			}
			if err != nil {
				return err
			}
			plaintext, err := a.readInput(ctx, t.in, vault.MaxPlaintext)
			if err != nil {
				return err
			}
			defer suite.Wipe(plaintext)
			if err := s.Open(ctx); err != nil {
				return err
			}
			ct, err := s.Client().Encrypt(ctx, args[0], plaintext, ec)
			if err != nil {
				return err
			}
			return a.writeOutput(ctx, t.out, encode(ct, t.text), !t.text)
		}),
	}
	t.addFlags(c, "write the ciphertext in base64")
	t.addContext(c)
	return c
}

func (a *app) decryptCommand() *cobra.Command {
	var t transfer
	c := &cobra.Command{
		Use: "decrypt", Short: "Decrypt the output of encrypt", Args: cobra.NoArgs,
		Long:    "decrypt decrypts the standard input and writes the plaintext to the standard output. The ciphertext names its key.",
		Example: "  strongroom decrypt --context tenant=7 < pin.ct",
		RunE: a.command(func(ctx context.Context, s *session.Session, _ []string) error {
			ec, err := parsePairs(t.context)
			if err != nil {
				return err
			}
			ct, err := a.readCiphertext(ctx, t)
			if err != nil {
				return err
			}
			if err := s.Open(ctx); err != nil {
				return err
			}
			plaintext, err := s.Client().Decrypt(ctx, ct, ec)
			if err != nil {
				return err
			}
			defer suite.Wipe(plaintext)
			return a.writeOutput(ctx, t.out, plaintext, false)
		}),
	}
	t.addFlags(c, "the ciphertext is in base64")
	t.addContext(c)
	return c
}

func (a *app) reencryptCommand() *cobra.Command {
	var t transfer
	var newContext []string
	var key string
	c := &cobra.Command{
		Use: "reencrypt", Short: "Encrypt a ciphertext under another key or the newest version", Args: cobra.NoArgs,
		Long: "reencrypt decrypts the standard input and encrypts it again, without releasing the plaintext. Without --key\n" +
			"it stays under its key, in the newest version. Without --new-context the encryption context stays. It takes the\n" +
			"output of encrypt; open sealed files and directories and seal them again.",
		Example: "  strongroom reencrypt --context tenant=7 < old.ct > new.ct",
		RunE: a.command(func(ctx context.Context, s *session.Session, _ []string) error {
			from, err := parsePairs(t.context)
			if err != nil {
				return err
			}
			to, err := parsePairs(newContext)
			if err != nil {
				return err
			}
			if len(newContext) == 0 {
				to = from
			}
			ct, err := a.readCiphertext(ctx, t)
			if err != nil {
				return err
			}
			if err := s.Open(ctx); err != nil {
				return err
			}
			if ct, err = s.Client().ReEncrypt(ctx, ct, key, from, to); err != nil {
				return err
			}
			return a.writeOutput(ctx, t.out, encode(ct, t.text), !t.text)
		}),
	}
	t.addFlags(c, "the ciphertexts are in base64")
	t.addContext(c)
	c.Flags().StringVar(&key, "key", "", "the other `key`")
	c.Flags().StringArrayVar(&newContext, "new-context", nil, "a pair of the new encryption context, `name=value`; may be repeated")
	return c
}
