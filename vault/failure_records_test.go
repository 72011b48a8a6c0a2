package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
	"strongroom.example/vault/internal/failures"
	"strongroom.example/vault/internal/keyid"
)

// usersOnly allows everything to principals whose names do not begin with mallory.
func usersOnly(r Request) (Decision, error) {
	return Decision{Allow: !strings.HasPrefix(string(r.Principal), "mallory")}, nil
}

// A failingCall is a method of Client with the ways to call it.
type failingCall struct {
	method string
	// op and key are the operation and the CMK of a call on one CMK.
	op  Operation
	key string
	// call calls the method on a CMK, which is named by an alias of the fixture.
	call func(ctx context.Context, c Client, x *failingFixture, key string) error
	// wrong calls the method with an invalid argument; nil if the method has none.
	wrong func(ctx context.Context, c Client, x *failingFixture) error
}

// failingFixture has the CMKs sym, mac, pair, dec and ext, disabled ones named off-sym and
// so on, and a ciphertext of each that encrypts. "absent" is the name of no CMK.
type failingFixture struct {
	vault      *Vault
	engine     *storetest.Memory
	ct         map[string][]byte
	ids        map[string]string
	way        driver.Protector
	protectors []Protector
}

func newFailingFixture(t *testing.T) *failingFixture {
	t.Helper()
	x := &failingFixture{engine: storetest.NewMemory(), ct: map[string][]byte{}, ids: map[string]string{"absent": keyid.New([16]byte{7})}, way: passphrase(t, "p")}
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(usersOnly)
	cfg.openEngine = func(dir string) (keystore.Engine, error) { return x.engine.Open(dir) }
	var err error
	if x.vault, err = Create(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, x.way, passphrase(t, "q")); err != nil {
		t.Fatal(err)
	}
	c, ctx := x.vault.As("maker"), t.Context()
	for name, o := range map[string]KeyOptions{
		"sym": {}, "mac": {Spec: HMAC256, Usage: GenerateVerifyMac}, "pair": {Spec: ECCP256}, "dec": {Spec: RSA2048, Usage: AsymmetricDecrypt}, "ext": {Origin: OriginExternal},
	} {
		for _, alias := range []string{name, "off-" + name} {
			o.Alias = alias
			k := mustKey(t, c, o)
			x.ids[alias] = k.ID
			if name == "ext" {
				mustImport(t, c, alias, newImportFixture(t, c, k, ownKey(1)).material())
			}
			if k.Usage == EncryptDecrypt {
				mustDataKey(t, c, alias, "dk-"+alias)
				if x.ct[alias], err = c.Encrypt(ctx, alias, []byte("x"), nil); err != nil {
					t.Fatal(err)
				}
			}
			if alias != name {
				if err := c.DisableKeys(ctx, alias); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	x.ct["absent"] = bytes.Clone(x.ct["sym"])
	absent, _ := keyid.Parse(x.ids["absent"])
	copy(x.ct["absent"][6:], absent[:])
	if x.protectors, err = c.ListProtectors(ctx); err != nil {
		t.Fatal(err)
	}
	return x
}

// failingCalls returns a failing for each method of Client.
func failingCalls() []failingCall {
	type (
		call  = func(context.Context, Client, *failingFixture, string) error
		wrong = func(context.Context, Client, *failingFixture) error
	)
	big := make([]byte, 5000)
	bad := EncryptionContext{"": "no name"}
	onVault := func(f wrong) call {
		return func(ctx context.Context, c Client, x *failingFixture, _ string) error { return f(ctx, c, x) }
	}
	return append(append(accessFailingCalls(), dataKeyFailingCalls()...), []failingCall{
		{"Encrypt", OpEncrypt, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.Encrypt(ctx, key, nil, nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.Encrypt(ctx, "sym", big, nil))
			}},
		{"Decrypt", OpDecrypt, "sym",
			func(ctx context.Context, c Client, x *failingFixture, key string) error {
				return second(c.Decrypt(ctx, x.ct[key], nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.Decrypt(ctx, big, nil)) }},
		{"AppendDecrypt", OpDecrypt, "sym",
			func(ctx context.Context, c Client, x *failingFixture, key string) error {
				return second(c.AppendDecrypt(ctx, nil, x.ct[key], nil))
			},
			func(ctx context.Context, c Client, x *failingFixture) error {
				return second(c.AppendDecrypt(ctx, nil, x.ct["sym"], bad))
			}},
		{"ReEncrypt", OpReEncryptFrom, "sym",
			func(ctx context.Context, c Client, x *failingFixture, key string) error {
				return second(c.ReEncrypt(ctx, x.ct[key], "", nil, nil))
			},
			func(ctx context.Context, c Client, x *failingFixture) error {
				return second(c.ReEncrypt(ctx, x.ct["sym"], "", nil, bad))
			}},
		{"ReEncryptAll", OpReEncryptTo, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.ReEncryptAll(ctx, key, items(), discardReEncrypted, ReEncryptOptions{}))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.ReEncryptAll(ctx, "sym", items(), discardReEncrypted, ReEncryptOptions{Resume: "none"}))
			}},
		{"GenerateDataKey", OpGenerateDataKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.GenerateDataKey(ctx, key, 32, nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.GenerateDataKey(ctx, "sym", -1, nil))
			}},
		{"GenerateDataKeyWithoutPlaintext", OpGenerateDataKeyWithoutPlaintext, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.GenerateDataKeyWithoutPlaintext(ctx, key, 32, nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.GenerateDataKeyWithoutPlaintext(ctx, "sym", 32, bad))
			}},
		{"OpenDataKey", OpOpenDataKey, "sym",
			func(ctx context.Context, c Client, x *failingFixture, key string) error {
				return second(c.OpenDataKey(ctx, x.ct[key], nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.OpenDataKey(ctx, nil, nil))
			}},
		{"GenerateRandom", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.GenerateRandom(ctx, 8)) }),
			func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.GenerateRandom(ctx, 0)) }},
		{"GenerateMac", OpGenerateMac, "mac",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.GenerateMac(ctx, key, nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.GenerateMac(ctx, "mac", big))
			}},
		{"VerifyMac", OpVerifyMac, "mac",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.VerifyMac(ctx, key, nil, nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.VerifyMac(ctx, "mac", big, nil))
			}},
		{"Sign", OpSign, "pair",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.Sign(ctx, key, nil, SignOptions{}))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.Sign(ctx, "pair", big, SignOptions{}))
			}},
		{"Verify", OpVerify, "pair",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.Verify(ctx, key, nil, nil, SignOptions{}))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.Verify(ctx, "pair", nil, nil, SignOptions{MessageType: "none"}))
			}},
		{"PublicKey", OpPublicKey, "pair",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.PublicKey(ctx, key))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.PublicKey(ctx, "sym")) }},
		{"Signer", OpPublicKey, "pair",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.Signer(ctx, key))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.Signer(ctx, "dec")) }},
		{"GenerateDataKeyPair", OpGenerateDataKeyPair, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.GenerateDataKeyPair(ctx, key, ECCP256, nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.GenerateDataKeyPair(ctx, "sym", Symmetric, nil))
			}},
		{"GenerateDataKeyPairWithoutPlaintext", OpGenerateDataKeyPairWithoutPlaintext, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.GenerateDataKeyPairWithoutPlaintext(ctx, key, ECCP256, nil))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.GenerateDataKeyPairWithoutPlaintext(ctx, "sym", "none", nil))
			}},
		{"AsymmetricEncrypt", OpAsymmetricEncrypt, "dec",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.AsymmetricEncrypt(ctx, key, []byte("m"), ""))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.AsymmetricEncrypt(ctx, "dec", make([]byte, MaxPlaintext+1), ""))
			}},
		{"AsymmetricDecrypt", OpAsymmetricDecrypt, "dec",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.AsymmetricDecrypt(ctx, key, nil, ""))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.AsymmetricDecrypt(ctx, "dec", nil, "none"))
			}},
		{"Decrypter", OpPublicKey, "dec",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.Decrypter(ctx, key))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.Decrypter(ctx, "pair")) }},
		{"CreateKey", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.CreateKey(ctx, KeyOptions{}))
			}),
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.CreateKey(ctx, KeyOptions{Alias: "sym"}))
			}},
		{"RotateKey", OpRotateKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.RotateKey(ctx, key))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.RotateKey(ctx, "pair")) }},
		{"SetRotation", OpSetRotation, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.SetRotation(ctx, key, Rotation{Days: 30}))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.SetRotation(ctx, "sym", Rotation{Days: 1}))
			}},
		{"GetRotation", OpGetRotation, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.GetRotation(ctx, key))
			}, nil},
		{"SetMinimumVersion", OpSetMinimumVersion, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.SetMinimumVersion(ctx, key, 1)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.SetMinimumVersion(ctx, "sym", 99)
			}},
		{"TrimKeyVersion", OpTrimKeyVersion, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.TrimKeyVersion(ctx, key, 1)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.TrimKeyVersion(ctx, "sym", 1) }},
		{"MoveKey", OpMoveKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.MoveKey(ctx, key, softDriver))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.MoveKey(ctx, "sym", "nowhere"))
			}},
		{"DescribeKey", OpDescribeKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.DescribeKey(ctx, key))
			}, nil},
		{"DescribeKeys", OpDescribeKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.DescribeKeys(ctx, key))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.DescribeKeys(ctx, make([]string, 101)...))
			}},
		{"ListKeys", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return drain(c.ListKeys(ctx, KeyFilter{}))
			}),
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return drain(c.ListKeys(ctx, KeyFilter{Tags: map[string]string{"": ""}}))
			}},
		{"ListKeysPage", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.ListKeysPage(ctx, KeyFilter{}, PageRequest{}))
			}),
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.ListKeysPage(ctx, KeyFilter{}, PageRequest{Token: "none"}))
			}},
		{"ListKeyVersions", OpListKeyVersions, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.ListKeyVersions(ctx, key))
			}, nil},
		{"SetAlias", OpSetAlias, "sym",
			func(ctx context.Context, c Client, x *failingFixture, key string) error {
				return c.SetAlias(ctx, x.ids[key], key)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.SetAlias(ctx, "sym", "pair") }},
		{"AddAlias", OpSetAlias, "sym",
			func(ctx context.Context, c Client, x *failingFixture, key string) error {
				return c.AddAlias(ctx, x.ids[key], key)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.AddAlias(ctx, "sym", "pair") }},
		{"MoveAlias", OpSetAlias, "sym",
			func(ctx context.Context, c Client, x *failingFixture, key string) error {
				return c.MoveAlias(ctx, "sym", key)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.MoveAlias(ctx, "-", "sym") }},
		{"DeleteAlias", OpDeleteAlias, "",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.DeleteAlias(ctx, key)
			}, nil},
		{"SetDescription", OpSetDescription, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.SetDescription(ctx, key, "d")
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.SetDescription(ctx, "sym", string(big))
			}},
		{"TagKey", OpTagKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.TagKey(ctx, key, nil)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.TagKey(ctx, "sym", map[string]string{"": "x"})
			}},
		{"UntagKey", OpUntagKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error { return c.UntagKey(ctx, key) },
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.UntagKey(ctx, "sym", make([]string, 51)...)
			}},
		{"EnableKeys", OpEnableKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.EnableKeys(ctx, key)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.EnableKeys(ctx, make([]string, 101)...)
			}},
		{"DisableKeys", OpDisableKey, "off-sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.DisableKeys(ctx, key)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.DisableKeys(ctx, make([]string, 101)...)
			}},
		{"ArchiveKey", OpArchiveKey, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.ArchiveKey(ctx, key)
			}, nil},
		{"CancelKeyArchive", OpCancelKeyArchive, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.CancelKeyArchive(ctx, key)
			}, nil},
		{"ScheduleKeyDeletion", OpScheduleKeyDeletion, "off-sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.ScheduleKeyDeletion(ctx, key, MinDeletionDays))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.ScheduleKeyDeletion(ctx, "off-sym", MaxDeletionDays+1))
			}},
		{"CancelKeyDeletion", OpCancelKeyDeletion, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.CancelKeyDeletion(ctx, key)
			}, nil},
		{"BindResource", OpBindResource, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.BindResource(ctx, key, "r")
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.BindResource(ctx, "sym", string(big))
			}},
		{"UnbindResource", OpUnbindResource, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.UnbindResource(ctx, key, "r")
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.UnbindResource(ctx, "sym", "not bound")
			}},
		{"ListBindings", OpListBindings, "sym",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.ListBindings(ctx, key))
			}, nil},
		{"ListAlgorithms", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.ListAlgorithms(ctx)) }), nil},
		{"ParametersForImport", OpParametersForImport, "ext",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.ParametersForImport(ctx, key, ImportRequest{}))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.ParametersForImport(ctx, "ext", ImportRequest{Algorithm: "none"}))
			}},
		{"ImportKeyMaterial", OpImportKeyMaterial, "ext",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return second(c.ImportKeyMaterial(ctx, key, ImportMaterial{}))
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.ImportKeyMaterial(ctx, "ext", ImportMaterial{ValidTo: time.Unix(1, 0)}))
			}},
		{"DeleteImportedKeyMaterial", OpDeleteImportedKeyMaterial, "ext",
			func(ctx context.Context, c Client, _ *failingFixture, key string) error {
				return c.DeleteImportedKeyMaterial(ctx, key)
			},
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.DeleteImportedKeyMaterial(ctx, "sym")
			}},
		{"ConfirmTime", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return c.ConfirmTime(ctx) }), nil},
		{"SetTimeBack", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return c.SetTimeBack(ctx, time.Now()) }),
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.SetTimeBack(ctx, time.Time{}) }},
		{"ListProtectors", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.ListProtectors(ctx)) }), nil},
		{"AuditCheckpoint", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.AuditCheckpoint(ctx)) }), nil},
		{"AuditInclusion", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.AuditInclusion(ctx, 0, 1))
			}), nil},
		{"AuditConsistency", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.AuditConsistency(ctx, 1, 1))
			}), nil},
		{"AuditCut", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.AuditCut(ctx)) }), nil},
		{"CutAudit", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.CutAudit(ctx, CutRequest{Export: io.Discard}))
			}),
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.CutAudit(ctx, CutRequest{}))
			}},
		{"Orphans", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.Orphans(ctx, "soft")) }),
			func(ctx context.Context, c Client, _ *failingFixture) error { return second(c.Orphans(ctx, "absent")) }},
		{"Backup", "", "",
			onVault(func(ctx context.Context, c Client, x *failingFixture) error {
				return second(c.Backup(ctx, io.Discard, BackupOptions{}, x.way))
			}),
			func(ctx context.Context, c Client, x *failingFixture) error {
				return second(c.Backup(ctx, nil, BackupOptions{}, x.way))
			}},
		{"AddProtector", "", "",
			onVault(func(ctx context.Context, c Client, x *failingFixture) error {
				return second(c.AddProtector(ctx, x.way, x.way))
			}),
			func(ctx context.Context, c Client, x *failingFixture) error {
				return second(c.AddProtector(ctx, nil, x.way))
			}},
		{"RemoveProtector", "", "",
			onVault(func(ctx context.Context, c Client, x *failingFixture) error {
				return c.RemoveProtector(ctx, x.protectors[1].ID)
			}),
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.RemoveProtector(ctx, "none") }},
		{"RotateRoot", "", "",
			onVault(func(ctx context.Context, c Client, x *failingFixture) error { return c.RotateRoot(ctx, x.way) }),
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.RotateRoot(ctx) }},
		{"AuditRecords", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return drain(c.AuditRecords(ctx, audit.Filter{}))
			}), nil},
		{"LastAuditRecords", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.LastAuditRecords(ctx, 1))
			}),
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return second(c.LastAuditRecords(ctx, 0))
			}},
		{"ExportAudit", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return c.ExportAudit(ctx, io.Discard) }),
			func(ctx context.Context, c Client, _ *failingFixture) error { return c.ExportAudit(ctx, nil) }},
		{"ExportAuditBefore", "", "",
			onVault(func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.ExportAuditBefore(ctx, io.Discard, 1)
			}),
			func(ctx context.Context, c Client, _ *failingFixture) error {
				return c.ExportAuditBefore(ctx, io.Discard, 0)
			}},
		{"Check", "", "", onVault(func(ctx context.Context, c Client, _ *failingFixture) error { return c.Check(ctx) }), nil},
	}...)
}

// refusalReason is a cause of failure.
type refusalReason struct {
	name string
	// fail makes the call as the given user, who may do everything, and returns its error.
	// It returns false if the method cannot fail in this way.
	fail func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool)
	want []error // any of these; empty means any error
	// principal returns the principal on record, if it is not the user.
	principal func(user string) string
}

func refusalReasons() []refusalReason {
	mallory := func(user string) string { return "mallory " + user }
	return []refusalReason{
		{"denied", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			return f.call(ctx, x.vault.As(Principal(mallory(user))), x, f.key), true
		}, []error{ErrDenied}, mallory},
		{"denied, of an absent key", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			if f.op == "" {
				return nil, false
			}
			return f.call(ctx, x.vault.As(Principal(mallory(user))), x, "absent"), true
		}, []error{ErrDenied}, mallory},
		{"denied, with a wrong argument", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			if f.wrong == nil {
				return nil, false
			}
			return f.wrong(ctx, x.vault.As(Principal(mallory(user))), x), true
		}, []error{ErrDenied}, mallory},
		{"wrong argument", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			if f.wrong == nil {
				return nil, false
			}
			return f.wrong(ctx, x.vault.As(Principal(user)), x), true
		}, []error{ErrInvalid, ErrTooLarge, ErrCiphertext, ErrUsage, ErrExists, ErrNotFound, ErrUnsupported, ErrImport}, nil},
		{"absent key", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			if f.op == "" {
				return nil, false
			}
			return f.call(ctx, x.vault.As(Principal(user)), x, "absent"), true
		}, []error{ErrNotFound, ErrCiphertext}, nil},
		{"disabled key", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			if f.op == "" || Disabled.allows(f.op) {
				return nil, false
			}
			return f.call(ctx, x.vault.As(Principal(user)), x, "off-"+f.key), true
		}, []error{ErrKeyState}, nil},
		{"cancelled", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return f.call(ctx, x.vault.As(Principal(user)), x, f.key), true
		}, []error{context.Canceled}, nil},
		{"no context", func(_ context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			var none context.Context
			return f.call(none, x.vault.As(Principal(user)), x, f.key), true
		}, []error{ErrInvalid}, nil},
		{"full disk", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			x.engine.Fault(func(keystore.Batch) error { return keystore.ErrFull })
			defer x.engine.Fault(nil)
			return f.call(ctx, x.vault.As(Principal(user)), x, f.key), true
		}, []error{ErrStorageFull, ErrCiphertext, ErrImport}, nil},
		{"name that is none", func(ctx context.Context, f failingCall, x *failingFixture, user string) (error, bool) {
			return f.call(ctx, x.vault.As(""), x, f.key), true
		}, []error{ErrDenied}, func(string) string { return string(principalUnnamed) }},
	}
}

// failedAt counts the recorded failures by principal.
func failedAt(t *testing.T, c Client) map[string]uint64 {
	t.Helper()
	n := map[string]uint64{}
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Result == audit.Refused || r.Result == audit.Failed {
			n[r.Principal] += max(1, r.Count)
		}
	}
	return n
}

// TestEveryFailureIsOnRecord makes each method of Client fail in each possible way: every
// failure writes one record, or increases a count by one, under the caller's name.
func TestEveryFailureIsOnRecord(t *testing.T) {
	t.Parallel()
	x := newFailingFixture(t)
	want, named := map[string]uint64{}, map[string]bool{}
	for _, f := range failingCalls() {
		named[f.method] = true
		for _, r := range refusalReasons() {
			user := f.method + ", " + r.name
			err, can := r.fail(t.Context(), f, x, user)
			if !can {
				continue
			}
			if !isAny(err, r.want) {
				t.Errorf("%s: %v, want one of %v", user, err, r.want)
			}
			if r.principal != nil {
				user = r.principal(user)
			}
			want[user]++
		}
	}
	for m := range reflect.TypeFor[Client]().Methods() {
		if !named[m.Name] {
			t.Errorf("the table has no way to make %s fail", m.Name)
		}
	}
	got := failedAt(t, x.vault.As("reader"))
	for user, n := range want {
		if got[user] != n {
			t.Errorf("%s: %d failures on record, want %d", user, got[user], n)
		}
	}
	for user, n := range got {
		if want[user] == 0 {
			t.Errorf("%q has %d failures on record, but made no failing call", user, n)
		}
	}
	closeChecked(t, x.vault)
	for _, f := range failingCalls() {
		if err := f.call(t.Context(), x.vault.As("late"), x, f.key); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrCiphertext) {
			t.Errorf("%s after Close: %v, want ErrClosed", f.method, err)
		}
	}
}

func isAny(err error, want []error) bool {
	for _, w := range want {
		if errors.Is(err, w) {
			return true
		}
	}
	return false
}

// TestNewPrincipalIsCountedAfterNoise makes so many invented principals fail that not all
// can be counted separately. A principal that fails after them is recorded by name, and the
// log and the memory grow by a bounded amount.
func TestNewPrincipalIsCountedAfterNoise(t *testing.T) {
	v, c, _, _ := newClockVault(t)
	const noise = 3 * failures.MaxPrincipals
	const left = 50                             // records that remain in this window
	for i := range failures.MaxRecords - left { // as after so many recorded failures
		v.failures.Admit(audit.Record{Principal: "others", Operation: fmt.Sprint(i / failures.Each)}, v.confirmedNow())
	}
	before := v.store.LogState().Size
	for i := range noise {
		v.refuse(t.Context(), audit.Record{Principal: fmt.Sprint("invented-", i), Operation: string(OpEncrypt)}, ErrDenied)
	}
	if _, err := v.As("mallory").GenerateRandom(t.Context(), 1); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	if n := v.failures.Principals(); n > failures.MaxPrincipals {
		t.Errorf("%d principals are counted separately, want at most %d", n, failures.MaxPrincipals)
	}
	got := failedAt(t, c)
	if got["mallory"] != 1 {
		t.Errorf("mallory has %d refusals on record, want 1", got["mallory"])
	}
	total := uint64(0)
	for _, n := range got {
		total += n
	}
	if total != noise+1 {
		t.Errorf("%d refusals on record, want %d", total, noise+1)
	}
	if grown := v.store.LogState().Size - before; grown > left+failures.MaxPrincipals+10 {
		t.Errorf("%d records of %d refusals, want %d at most", grown, noise+1, left+failures.MaxPrincipals+10)
	}
}

// TestGarbageDoesNotFillTheLog: a caller who may decrypt and repeatedly sends garbage adds
// a bounded number of records, and all failures are counted.
func TestGarbageDoesNotFillTheLog(t *testing.T) {
	v, c, fake, _ := newClockVault(t)
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(t.Context(), k.ID, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ct[len(ct)-1] ^= 1
	before := v.store.LogState().Size
	const minutes, calls = 3, 500
	for range minutes {
		for range calls {
			if _, err := c.Decrypt(t.Context(), ct, nil); !errors.Is(err, ErrCiphertext) {
				t.Fatal(err)
			}
		}
		fake.Advance(failures.Window)
	}
	got := failedAt(t, c)[string(DefaultOwner)]
	if grown := v.store.LogState().Size - before; got != minutes*calls || grown > minutes*(failures.Each+8) {
		t.Errorf("%d failures on record in %d records, want %d in %d at most", got, grown, minutes*calls, minutes*(failures.Each+8))
	}
}

// TestCountsAreWrittenSoon: a count is written a few seconds after its first failure, which
// bounds the loss if the process is killed.
func TestCountsAreWrittenSoon(t *testing.T) {
	v, _, fake, _ := newClockVault(t)
	for range failures.Each + 5 {
		if _, err := v.As("mallory").GenerateRandom(t.Context(), 1); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
	before := v.store.LogState().Size
	fake.Advance(failures.CountAfter)
	poll.Until(t, "the count", func() bool { return v.store.LogState().Size > before })
	leaf, err := v.store.LogRecord(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := audit.ParseRecord(leaf); err != nil || r.Count != 5 || r.Principal != "mallory" {
		t.Errorf("the record after the last refusal is %+v, %v, want a count of 5 for mallory", r, err)
	}
}
