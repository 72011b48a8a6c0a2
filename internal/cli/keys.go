package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"strongroom.example/driver"
	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

func (a *app) keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "keys", Short: "Create, list and change customer master keys",
		Long: "The commands below keys work on customer master keys (CMKs). KEY is a key's id or one of its aliases.",
	}
	c.AddCommand(
		a.keysCreate(), a.keysList(), a.keysDescribe(),
		a.keysAlias(), a.keysNote(), a.keysTag(),
		a.keysEnable(), a.keysDisable(), a.keysRotate(), a.keysArchive(),
		a.keysRotation(), a.keysMinimumVersion(), a.keysTrim(),
		a.keysBindings(), a.keysBind(), a.keysUnbind(),
		a.keysDelete(), a.keysCancel(), a.keysMove(),
	)
	return c
}

const specsList = `- ENCRYPT_DECRYPT, for encrypt, seal and data keys: SYMMETRIC_DEFAULT
- SIGN_VERIFY: ECC_P256, ECC_P384, ECC_P521, ED25519, RSA_2048, RSA_3072, RSA_4096, SM2
- ASYMMETRIC_DECRYPT, of what others encrypt with the public key: RSA_2048, RSA_3072, RSA_4096, SM2
- GENERATE_VERIFY_MAC: HMAC_224, HMAC_256, HMAC_384, HMAC_512, HMAC_SM3`

func (a *app) keysCreate() *cobra.Command {
	var o vault.KeyOptions
	var tags []string
	c := &cobra.Command{
		Use: "create", Short: "Create a key", Args: cobra.NoArgs,
		Long: "create makes a key of one type, for one usage. One of the two suffices if it leaves no choice:\n\n" + specsList,
		Example: "  strongroom keys create --alias invoices --tag team=billing\n" +
			"  strongroom keys create --alias ca --spec ECC_P256 --usage SIGN_VERIFY --driver hsm",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) (err error) {
			if o.Tags, err = parsePairs(tags); err != nil {
				return err
			}
			k, err := s.Client().CreateKey(ctx, o)
			if err != nil {
				return err
			}
			return a.printKey(k)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.Alias, "alias", "", "a second `name` of the key")
	f.StringVar(&o.Description, "description", "", "a `text`")
	f.StringArrayVar(&tags, "tag", nil, "a tag as `name=value`; may be repeated")
	f.StringVar((*string)(&o.Spec), "spec", "", "the `type` of the key, as above; default SYMMETRIC_DEFAULT")
	f.StringVar((*string)(&o.Usage), "usage", "", "the one `usage` of the key, as above; default that of the type, if it has one")
	f.StringVar((*string)(&o.Origin), "origin", "", "the `origin`: VAULT, or EXTERNAL for a key that is imported")
	f.StringVar(&o.Driver, "driver", "", "the `device` that makes the key; default that of the configuration")
	f.StringVar((*string)(&o.MinLevel), "min-level", "", "the lowest protection `level`: SOFTWARE, TPM or HSM")
	completeKeyFlags(c)
	must(c.RegisterFlagCompletionFunc("min-level", fixed(string(driver.LevelSoftware), string(driver.LevelTPM), string(driver.LevelHSM))))
	return c
}

// completeKeyFlags completes the flags that keys create and keys list share.
func completeKeyFlags(c *cobra.Command) {
	must(c.RegisterFlagCompletionFunc("spec", fixed(
		string(vault.Symmetric), string(vault.HMAC224), string(vault.HMAC256), string(vault.HMAC384), string(vault.HMAC512),
		string(vault.HMACSM3), string(vault.RSA2048), string(vault.RSA3072),
		string(vault.RSA4096), string(vault.ECCP256), string(vault.ECCP384), string(vault.ECCP521), string(vault.Ed25519), string(vault.SM2))))
	must(c.RegisterFlagCompletionFunc("usage", fixed(
		string(vault.EncryptDecrypt), string(vault.AsymmetricDecrypt), string(vault.SignVerify), string(vault.GenerateVerifyMac))))
	must(c.RegisterFlagCompletionFunc("origin", fixed(string(vault.OriginVault), string(vault.OriginExternal))))
}

func (a *app) keysList() *cobra.Command {
	var filter vault.KeyFilter
	var tags []string
	c := &cobra.Command{
		Use: "list", Short: "List keys", Args: cobra.NoArgs,
		Example: "  strongroom keys list --state Enabled --tag team=billing\n  strongroom keys list -o json | jq -r .id",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) (err error) {
			if filter.Tags, err = parsePairs(tags); err != nil {
				return err
			}
			p := a.columns("ID", "ALIAS", "STATE", "USAGE", "SPEC", "VERSION", "LEVEL", "DRIVER", "CREATED")
			for k, err := range s.Client().ListKeys(ctx, filter) {
				if err != nil {
					return err
				}
				if err := p.row(k, k.ID, k.Alias, k.State, k.Usage, k.Spec, k.Version, k.Level, k.Driver, k.Created); err != nil {
					return err
				}
			}
			return p.flush()
		}),
	}
	f := c.Flags()
	f.StringVar((*string)(&filter.State), "state", "", "only keys in this `state`")
	f.StringVar((*string)(&filter.Usage), "usage", "", "only keys of this `usage`")
	f.StringVar((*string)(&filter.Spec), "spec", "", "only keys of this `type`")
	f.StringVar((*string)(&filter.Origin), "origin", "", "only keys of this `origin`: VAULT or EXTERNAL")
	f.StringVar(&filter.Driver, "driver", "", "only keys in this `device`")
	f.StringVar(&filter.Alias, "alias", "", "only keys with an alias that begins with this `text`")
	f.StringArrayVar(&tags, "tag", nil, "only keys with this tag, `name=value`; may be repeated")
	completeKeyFlags(c)
	must(c.RegisterFlagCompletionFunc("state", fixed(
		string(vault.Enabled), string(vault.Disabled), string(vault.PendingImport), string(vault.PendingDeletion),
		string(vault.Archived), string(vault.Destroyed), string(vault.Creating))))
	return c
}

// A keyDetail is the JSON form of keys describe.
type keyDetail struct {
	vault.Key
	Versions []vault.KeyVersion `json:"versions"`
}

func (a *app) keysDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe KEY", Short: "Show a key and its versions", Args: cobra.ExactArgs(1),
		Example: "  strongroom keys describe invoices",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			k, err := s.Client().DescribeKey(ctx, args[0])
			if err != nil {
				return err
			}
			versions, err := s.Client().ListKeyVersions(ctx, args[0])
			if err != nil {
				return err
			}
			if a.format == formatJSON {
				return a.one(keyDetail{k, versions})
			}
			if err := a.printKey(k); err != nil || len(versions) == 0 {
				return err
			}
			p := a.columns("\nVERSION", "CREATED", "ORIGIN", "RESIDENCE", "LEVEL", "DRIVER", "PROVENANCE")
			for _, v := range versions {
				if err := p.row(v, v.Number, v.Created, v.Origin, v.Residence, v.Level, v.Driver, v.Provenance); err != nil {
					return err
				}
			}
			return p.flush()
		}),
	}
}

// printKey prints one key.
func (a *app) printKey(k vault.Key) error {
	return a.one(k, "id", k.ID, "alias", k.Alias, "other aliases", strings.Join(k.OtherAliases, ", "), "description", k.Description, "tags", k.Tags, "state", k.State,
		"usage", k.Usage, "spec", k.Spec, "origin", k.Origin, "version", k.Version, "level", k.Level, "driver", k.Driver,
		"residence", k.Residence, "provenance", k.Provenance, "created", k.Created, "creator", k.Creator, "rotated", k.Rotated,
		"valid to", k.ValidTo, "deletion date", k.DeletionDate, "destroyed", k.Destroyed, "lowest level", k.MinLevel)
}
