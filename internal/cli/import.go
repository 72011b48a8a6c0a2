package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// The names of the files in which import parameters are kept.
const (
	importPublicKey = "wrapping-key.pem"
	importToken     = "import-token"
)

// importLimit bounds the files that import material reads.
const importLimit = 64 << 10

func (a *app) importCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "import", Short: "Import key material: first parameters, then material",
		Long: "import brings your own key material into a key that was made with --origin EXTERNAL. The owner of the material\n" +
			"wraps it under the public key of \"import parameters\"; \"import material\" unwraps it, in the device if it can.",
	}
	c.AddCommand(a.importParameters(), a.importMaterial(), a.importDelete())
	return c
}

// A parameters is the JSON form of import parameters.
type parameters struct {
	Directory    string                  `json:"directory"`
	Algorithm    vault.WrappingAlgorithm `json:"algorithm"`
	Path         vault.ImportPath        `json:"path"`
	MaterialSize int                     `json:"material_size"`
	ValidTo      time.Time               `json:"valid_to"`
}

func (a *app) importParameters() *cobra.Command {
	var r vault.ImportRequest
	var dir string
	c := &cobra.Command{
		Use: "parameters KEY", Short: "Make a wrapping key and an import token", Args: cobra.ExactArgs(1),
		Long: "parameters writes " + importPublicKey + " and " + importToken + " to a new directory. It prints the algorithm, the size that the\n" +
			"material must have, and when the token expires.",
		Example: "  strongroom keys create --alias own --origin EXTERNAL\n  strongroom import parameters own --out own-import\n" +
			"  openssl pkeyutl -encrypt -pubin -inkey own-import/" + importPublicKey + " -in key.bin -out key.wrapped \\\n" +
			"    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			err := os.Mkdir(dir, 0o700) // first, because the call ends the key's former token
			if errors.Is(err, os.ErrExist) {
				return usage("%s exists already: name a new directory with --out", dir)
			}
			if err != nil {
				return err
			}
			p, err := s.Client().ParametersForImport(ctx, args[0], r)
			if err != nil {
				return errors.Join(err, os.Remove(dir))
			}
			err = errors.Join(writeNew(filepath.Join(dir, importPublicKey), p.PublicKey.PEM()), writeNew(filepath.Join(dir, importToken), p.Token))
			if err != nil {
				return err
			}
			j := parameters{dir, p.Algorithm, p.Path, p.MaterialSize, p.ValidTo}
			size := fmt.Sprintf("%d bytes", j.MaterialSize)
			if j.MaterialSize == 0 {
				size = "a private key, PKCS #8 in DER"
			}
			return a.one(j, "directory", j.Directory, "algorithm", j.Algorithm, "unwrapped by", j.Path, "material", size, "token valid to", j.ValidTo)
		}),
	}
	f := c.Flags()
	f.StringVar(&dir, "out", "", "the new `directory`")
	f.StringVar((*string)(&r.Algorithm), "algorithm", "", "the wrapping `algorithm`")
	f.StringVar((*string)(&r.WrappingKeySpec), "wrapping-key", "", "the `spec` of the wrapping key: RSA_2048 or SM2")
	f.StringVar((*string)(&r.Path), "path", "", "the `path` on which the material is unwrapped: AUTO, DEVICE or HOST")
	f.BoolVar(&r.SingleUse, "single-use", false, "the token is valid for one import")
	must(c.MarkFlagRequired("out"))
	must(c.RegisterFlagCompletionFunc("algorithm", fixed(
		string(vault.WrapRSAESOAEPSHA256), string(vault.WrapRSAAESSHA256), string(vault.WrapRSAESOAEPSHA1),
		string(vault.WrapRSAAESSHA1), string(vault.WrapRSAESPKCS1V15), string(vault.WrapSM2))))
	must(c.RegisterFlagCompletionFunc("path", fixed(string(vault.PathAuto), string(vault.PathDevice), string(vault.PathHost))))
	return c
}

func (a *app) importMaterial() *cobra.Command {
	var dir, material, public, validTo string
	c := &cobra.Command{
		Use: "material KEY", Short: "Import wrapped material", Args: cobra.ExactArgs(1),
		Long: "material brings the material in. With --valid-to the vault destroys it at that time: the key is then PendingImport,\n" +
			"until the same material is imported again, wrapped under a new \"import parameters\".",
		Example: "  strongroom import material own --parameters own-import --material key.wrapped --valid-to 8760h",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			var m vault.ImportMaterial
			var err error
			if m.ValidTo, err = parseTime(validTo, true); err != nil {
				return err
			}
			if m.Token, err = a.readInput(ctx, filepath.Join(dir, importToken), importLimit); err != nil {
				return err
			}
			if m.EncryptedMaterial, err = a.readInput(ctx, material, importLimit); err != nil {
				return err
			}
			if public != "" {
				if m.PublicKey, err = a.readPublicKey(ctx, public); err != nil {
					return err
				}
			}
			k, err := s.Client().ImportKeyMaterial(ctx, args[0], m)
			if err != nil {
				return err
			}
			return a.printKey(k)
		}),
	}
	f := c.Flags()
	f.StringVar(&dir, "parameters", "", "the `directory` that import parameters made")
	f.StringVar(&material, "material", "", "the `file` with the wrapped material; - is the standard input")
	f.StringVar(&public, "public-key", "", "a PEM `file` with the expected public half of a private key")
	f.StringVar(&validTo, "valid-to", "", "the `time` at which the vault destroys the material: 2027-01-31, or a duration such as 720h")
	must(c.MarkFlagRequired("parameters"))
	must(c.MarkFlagRequired("material"))
	return c
}

// readPublicKey reads a public key in PEM.
func (a *app) readPublicKey(ctx context.Context, path string) ([]byte, error) {
	text, err := a.readInput(ctx, path, importLimit)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, usage("%s holds no PEM", path)
	}
	return block.Bytes, nil
}

func (a *app) importDelete() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "delete KEY", Short: "Destroy imported material", Args: cobra.ExactArgs(1),
		Long:    "delete destroys the material of an imported key at once. The key is then PendingImport, until the same material\nis imported again.",
		Example: "  strongroom import delete own",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		return c.DeleteImportedKeyMaterial(ctx, args[0])
	})
}
