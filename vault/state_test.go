package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/bindingrecords"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/record"
)

// subject is the CMK of one test case, with the arguments that operations on it need.
type subject struct {
	key       Key
	parcel    *importFixture // wrapped material, if the CMK's origin is external
	ct        []byte         // a ciphertext that names the CMK
	other     []byte         // a ciphertext of the CMK "target"
	encrypted []byte         // encrypted to the public key
	signature []byte
	mac       []byte
}

// acts has one call for each operation on a CMK, so that each row of the state table is
// tested.
var acts = withDataKeyActs(map[Operation]func(context.Context, Client, subject) error{
	OpDescribeKey: func(ctx context.Context, c Client, s subject) error {
		_, err := c.DescribeKey(ctx, s.key.ID)
		return err
	},
	OpListKeyVersions: func(ctx context.Context, c Client, s subject) error {
		_, err := c.ListKeyVersions(ctx, s.key.ID)
		return err
	},
	OpSetAlias:       func(ctx context.Context, c Client, s subject) error { return c.SetAlias(ctx, s.key.ID, "other") },
	OpDeleteAlias:    func(ctx context.Context, c Client, s subject) error { return c.DeleteAlias(ctx, s.key.ID) },
	OpSetDescription: func(ctx context.Context, c Client, s subject) error { return c.SetDescription(ctx, s.key.ID, "d") },
	OpTagKey: func(ctx context.Context, c Client, s subject) error {
		return c.TagKey(ctx, s.key.ID, map[string]string{"a": "b"})
	},
	OpUntagKey:         func(ctx context.Context, c Client, s subject) error { return c.UntagKey(ctx, s.key.ID, "a") },
	OpEnableKey:        func(ctx context.Context, c Client, s subject) error { return c.EnableKeys(ctx, s.key.ID) },
	OpDisableKey:       func(ctx context.Context, c Client, s subject) error { return c.DisableKeys(ctx, s.key.ID) },
	OpArchiveKey:       func(ctx context.Context, c Client, s subject) error { return c.ArchiveKey(ctx, s.key.ID) },
	OpCancelKeyArchive: func(ctx context.Context, c Client, s subject) error { return c.CancelKeyArchive(ctx, s.key.ID) },
	OpScheduleKeyDeletion: func(ctx context.Context, c Client, s subject) error {
		_, err := c.ScheduleKeyDeletion(ctx, s.key.ID, MinDeletionDays)
		return err
	},
	OpCancelKeyDeletion: func(ctx context.Context, c Client, s subject) error { return c.CancelKeyDeletion(ctx, s.key.ID) },
	OpBindResource: func(ctx context.Context, c Client, s subject) error {
		return errors.Join(c.BindResource(ctx, s.key.ID, "r"), forceBindings(ctx, c.vault, s.key.ID))
	},
	OpUnbindResource: func(ctx context.Context, c Client, s subject) error {
		if err := forceBindings(ctx, c.vault, s.key.ID, bindingrecords.Binding{Resource: "r"}); err != nil {
			return err
		}
		return errors.Join(c.UnbindResource(ctx, s.key.ID, "r"), forceBindings(ctx, c.vault, s.key.ID))
	},
	OpListBindings: func(ctx context.Context, c Client, s subject) error { return second(c.ListBindings(ctx, s.key.ID)) },
	OpRotateKey:    func(ctx context.Context, c Client, s subject) error { _, err := c.RotateKey(ctx, s.key.ID); return err },
	OpSetRotation: func(ctx context.Context, c Client, s subject) error {
		_, err := c.SetRotation(ctx, s.key.ID, Rotation{Days: MaxRotationDays})
		return err
	},
	OpGetRotation: func(ctx context.Context, c Client, s subject) error {
		_, err := c.GetRotation(ctx, s.key.ID)
		return err
	},
	OpSetMinimumVersion: func(ctx context.Context, c Client, s subject) error { return c.SetMinimumVersion(ctx, s.key.ID, 2) },
	OpTrimKeyVersion:    func(ctx context.Context, c Client, s subject) error { return c.TrimKeyVersion(ctx, s.key.ID, 1) },
	OpParametersForImport: func(ctx context.Context, c Client, s subject) error {
		_, err := c.ParametersForImport(ctx, s.key.ID, ImportRequest{})
		return err
	},
	OpImportKeyMaterial: func(ctx context.Context, c Client, s subject) error {
		_, err := c.ImportKeyMaterial(ctx, s.key.ID, s.parcel.material())
		return err
	},
	OpDeleteImportedKeyMaterial: func(ctx context.Context, c Client, s subject) error {
		return c.DeleteImportedKeyMaterial(ctx, s.key.ID)
	},
	OpMoveKey: func(ctx context.Context, c Client, s subject) error {
		_, err := c.MoveKey(ctx, s.key.ID, softDriver)
		return err
	},
	OpEncrypt: func(ctx context.Context, c Client, s subject) error {
		_, err := c.Encrypt(ctx, s.key.ID, nil, nil)
		return err
	},
	OpDecrypt: func(ctx context.Context, c Client, s subject) error { _, err := c.Decrypt(ctx, s.ct, nil); return err },
	OpReEncryptFrom: func(ctx context.Context, c Client, s subject) error {
		_, err := c.ReEncrypt(ctx, s.ct, "target", nil, nil)
		return err
	},
	OpReEncryptTo: func(ctx context.Context, c Client, s subject) error {
		_, err := c.ReEncrypt(ctx, s.other, s.key.ID, nil, nil)
		return err
	},
	OpGenerateDataKey: func(ctx context.Context, c Client, s subject) error {
		dk, err := c.GenerateDataKey(ctx, s.key.ID, 32, nil)
		dk.Destroy()
		return err
	},
	OpGenerateDataKeyWithoutPlaintext: func(ctx context.Context, c Client, s subject) error {
		_, err := c.GenerateDataKeyWithoutPlaintext(ctx, s.key.ID, 32, nil)
		return err
	},
	OpDecryptTo: func(ctx context.Context, c Client, s subject) error {
		_, err := c.DecryptTo(ctx, recipient(), s.ct, nil)
		return err
	},
	OpGenerateDataKeyTo: func(ctx context.Context, c Client, s subject) error {
		_, err := c.GenerateDataKeyTo(ctx, recipient(), s.key.ID, 32, nil)
		return err
	},
	OpGenerateDataKeyPair: func(ctx context.Context, c Client, s subject) error {
		return second(c.GenerateDataKeyPair(ctx, s.key.ID, ECCP256, nil))
	},
	OpGenerateDataKeyPairWithoutPlaintext: func(ctx context.Context, c Client, s subject) error {
		return second(c.GenerateDataKeyPairWithoutPlaintext(ctx, s.key.ID, ECCP256, nil))
	},
	OpOpenDataKey: func(ctx context.Context, c Client, s subject) error {
		dk, err := c.OpenDataKey(ctx, s.ct, nil)
		if err == nil {
			dk.Destroy()
		}
		return err
	},
	OpPublicKey: func(ctx context.Context, c Client, s subject) error { _, err := c.PublicKey(ctx, s.key.ID); return err },
	OpSign: func(ctx context.Context, c Client, s subject) error {
		_, err := c.Sign(ctx, s.key.ID, []byte("m"), SignOptions{})
		return err
	},
	OpVerify: func(ctx context.Context, c Client, s subject) error {
		return valid(c.Verify(ctx, s.key.ID, []byte("m"), s.signature, SignOptions{}))
	},
	OpAsymmetricEncrypt: func(ctx context.Context, c Client, s subject) error {
		return second(c.AsymmetricEncrypt(ctx, s.key.ID, []byte("m"), ""))
	},
	OpAsymmetricDecrypt: func(ctx context.Context, c Client, s subject) error {
		got, err := c.AsymmetricDecrypt(ctx, s.key.ID, s.encrypted, "")
		if err == nil && string(got) != "a message" {
			return fmt.Errorf("decrypted to %q", got)
		}
		return err
	},
	OpGenerateMac: func(ctx context.Context, c Client, s subject) error {
		_, err := c.GenerateMac(ctx, s.key.ID, []byte("m"))
		return err
	},
	OpVerifyMac: func(ctx context.Context, c Client, s subject) error {
		return valid(c.VerifyMac(ctx, s.key.ID, []byte("m"), s.mac))
	},
})

func valid(ok bool, err error) error {
	if err == nil && !ok {
		return errors.New("not valid")
	}
	return err
}

// forceBindings sets the resources that are bound to a CMK without an operation.
func forceBindings(ctx context.Context, v *Vault, key string, all ...bindingrecords.Binding) error {
	return v.store.Commit(ctx, func(tx *keystore.Tx) error {
		bindingrecords.Bindings{Resources: all}.Store(tx, key)
		return nil
	})
}

// newSubject makes a CMK and all arguments of the acts.
func newSubject(t *testing.T, c Client, row specRow, origin Origin) subject {
	t.Helper()
	ctx := t.Context()
	s := subject{key: mustKey(t, c, KeyOptions{Spec: row.spec, Usage: row.usage, Origin: origin, Alias: "subject", Tags: map[string]string{"a": "b"}})}
	var err error
	if origin == OriginExternal {
		s.parcel = newImportFixture(t, c, s.key, newMaterial(t, c, row))
		if s.key, err = c.ImportKeyMaterial(ctx, s.key.ID, s.parcel.material()); err != nil {
			t.Fatal(err)
		}
	}
	if row.usage == EncryptDecrypt && origin == OriginVault {
		trimFirst(t, c, s.key.ID)
	}
	if s.other, err = c.Encrypt(ctx, "target", make([]byte, 32), nil); err != nil {
		t.Fatal(err)
	}
	id, _ := keyid.Parse(s.key.ID)
	s.ct = slices.Clone(s.other)
	copy(s.ct[6:], id[:]) // now names the CMK, whatever its type
	switch row.usage {
	case EncryptDecrypt:
		s.ct, err = c.Encrypt(ctx, s.key.ID, make([]byte, 32), nil)
	case SignVerify:
		s.signature, err = c.Sign(ctx, s.key.ID, []byte("m"), SignOptions{})
	case GenerateVerifyMac:
		s.mac, err = c.GenerateMac(ctx, s.key.ID, []byte("m"))
	case AsymmetricDecrypt:
		s.encrypted = encryptTo(t, c, s.key.ID, []byte("a message"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// trimFirst rotates a CMK and trims its first version.
func trimFirst(t *testing.T, c Client, key string) {
	t.Helper()
	_, err := c.RotateKey(t.Context(), key)
	must(t, err)
	must(t, c.SetMinimumVersion(t.Context(), key, 2))
	must(t, c.TrimKeyVersion(t.Context(), key, 1))
}

// encryptTo encrypts with the CMK's default algorithm and public key, outside the vault.
func encryptTo(t *testing.T, c Client, key string, message []byte) []byte {
	t.Helper()
	p, err := c.PublicKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	switch k := public.(type) {
	case *rsa.PublicKey:
		out, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, k, message, nil)
	case *ecdsa.PublicKey:
		out, err = sm2.EncryptASN1(rand.Reader, k, message)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestStateTable runs each operation in each state on each usage, spec and origin of a CMK, and
// compares result and record with the tables.
func TestStateTable(t *testing.T) {
	t.Parallel()
	for _, row := range specTable {
		if row.spec == RSA3072 || row.spec == RSA4096 {
			continue // like RSA-2048, and slow to make; TestSignAlgorithms covers them
		}
		t.Run(string(row.spec)+"/"+string(row.usage), func(t *testing.T) { testStates(t, row, OriginVault) })
		t.Run(string(row.spec)+"/"+string(row.usage)+"/imported", func(t *testing.T) { testStates(t, row, OriginExternal) })
	}
}

func testStates(t *testing.T, row specRow, origin Origin) {
	t.Parallel()
	needs(t, row.spec)
	v, _ := newTestVault(t, Config{Edition: testEdition(), Authorizer: authorizerFunc(allowEveryone)})
	c := v.As(DefaultOwner)
	mustKey(t, c, KeyOptions{Alias: "target"})
	s := newSubject(t, c, row, origin)
	for op := range stateTable {
		for i, state := range states {
			s.parcel.renew(t, v, s.key)
			restoreKey(t, v, s.key)
			forceState(t, v, s.key, state)
			p := Principal(fmt.Sprintf("%s in %s", op, state))
			act, ok := acts[op]
			if !ok {
				t.Fatalf("%s has no test", op)
			}
			err := act(t.Context(), v.As(p), s)
			want := wanted(op, s.key, stateTable[op][i] == '+')
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: %v, want %v", p, err, want)
			}
			checkRecord(t, v, p, op, want)
		}
	}
	s.parcel.renew(t, v, s.key)
	forceState(t, v, s.key, Enabled)
}

// wanted returns the error that the tables require.
func wanted(op Operation, k Key, allowed bool) error {
	usage := k.Usage
	byCiphertext := op == OpImportDataKeyCiphertext || op == OpDecrypt || op == OpDecryptTo || op == OpOpenDataKey || op == OpReEncryptFrom
	switch {
	case !usage.allows(op) && byCiphertext:
		return ErrCiphertext
	case !usage.allows(op):
		return ErrUsage
	case k.Origin.allows(op) != nil:
		return ErrUnsupported
	case !allowed:
		return ErrKeyState
	}
	return nil
}

// checkRecord checks the operation's record at the end of the log.
func checkRecord(t *testing.T, v *Vault, p Principal, op Operation, want error) {
	t.Helper()
	size := v.store.LogState().Size
	for e, err := range v.store.LogRange(t.Context(), size-3, size) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := audit.ParseRecord(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if r.Principal != string(p) || r.Operation != string(op) || r.Phase == audit.Intent {
			continue
		}
		result, class := audit.OK, ""
		switch {
		case want == ErrCiphertext:
			result, class = audit.Refused, "USAGE"
		case want != nil:
			result, class = audit.Refused, errorName(want)
		}
		if r.Result != result || r.Error != class || r.Decision != "ALLOW" {
			t.Errorf("%s: recorded as %s %q %q, want %s %q", p, r.Result, r.Error, r.Decision, result, class)
		}
		return
	}
	t.Errorf("%s: no record of the operation", p)
}

// restoreKey restores the alias and tags of a CMK.
func restoreKey(t *testing.T, v *Vault, k Key) {
	t.Helper()
	changeStored(t, v, k, func(tx *keystore.Tx, now *Key) {
		if now.Alias != "" {
			tx.Delete(aliasPath(now.Alias))
		}
		now.Alias, now.Tags = k.Alias, k.Tags
		tx.Put(aliasPath(k.Alias), []byte(k.ID))
	})
}

// forceState sets a state without the operations that lead to it.
func forceState(t *testing.T, v *Vault, k Key, s KeyState) {
	t.Helper()
	changeStored(t, v, k, func(tx *keystore.Tx, now *Key) {
		now.State, now.DeletionDate = s, time.Time{}
		if s == PendingDeletion {
			now.DeletionDate = time.Now().Add(MinDeletionDays * day)
			tx.Put(deletionPath(k.ID), encode(deletion{}))
		} else if tx.Version(deletionPath(k.ID)) != 0 {
			tx.Delete(deletionPath(k.ID))
		}
	})
}

// changeStored changes a CMK's record without an operation.
func changeStored(t *testing.T, v *Vault, k Key, change func(*keystore.Tx, *Key)) {
	t.Helper()
	err := v.store.Commit(t.Context(), func(tx *keystore.Tx) error {
		r, err := tx.Get(keyPath(k.ID))
		if err != nil {
			return err
		}
		now, err := record.Decode[Key](r.Path, r.Value)
		if err != nil {
			return err
		}
		change(tx, &now)
		tx.Put(keyPath(k.ID), encode(now))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
