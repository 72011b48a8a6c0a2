package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// A stressFixture is a vault with a CMK of each usage, for concurrent use.
type stressFixture struct {
	Client
	symmetric, mac, pair, sealed, external subject
	way                                    driver.Protector
}

func newStressFixture(t *testing.T, c Client) *stressFixture {
	t.Helper()
	mustKey(t, c, KeyOptions{Alias: "target"})
	made := func(spec KeySpec, usage KeyUsage, origin Origin) subject {
		row, err := chooseSpec(spec, usage, testEdition())
		if err != nil {
			t.Fatal(err)
		}
		s := newSubject(t, c, row, origin)
		if err := c.DeleteAlias(t.Context(), s.key.ID); err != nil { // so that the next subject can have the alias
			t.Fatal(err)
		}
		return s
	}
	return &stressFixture{
		Client:    c,
		symmetric: made(Symmetric, EncryptDecrypt, OriginVault),
		mac:       made(HMAC256, GenerateVerifyMac, OriginVault),
		pair:      made(ECCP256, SignVerify, OriginVault),
		sealed:    made(RSA2048, AsymmetricDecrypt, OriginVault),
		external:  made(Symmetric, EncryptDecrypt, OriginExternal),
		way:       passphrase(t, "correct horse"),
	}
}

// A stressCall is one call of a method of Client.
type stressCall struct {
	method string
	rare   bool // it takes long; one goroutine of eight makes it
	call   func(context.Context, *stressFixture) error
}

// callOn returns a call that runs the operation as in TestStateTable.
func callOn(op Operation, of func(*stressFixture) subject) func(context.Context, *stressFixture) error {
	return func(ctx context.Context, x *stressFixture) error { return acts[op](ctx, x.Client, of(x)) }
}

func (x *stressFixture) hot() subject        { return x.symmetric }
func (x *stressFixture) macKey() subject     { return x.mac }
func (x *stressFixture) signer() subject     { return x.pair }
func (x *stressFixture) decryption() subject { return x.sealed }

// onNewKey returns a call on a CMK of its own.
func onNewKey(use func(context.Context, Client, string) error) func(context.Context, *stressFixture) error {
	return func(ctx context.Context, x *stressFixture) error {
		k, err := x.Client.CreateKey(ctx, KeyOptions{})
		if err != nil {
			return err
		}
		return use(ctx, x.Client, k.ID)
	}
}

// stressCalls returns a call for each method of Client.
func stressCalls() []stressCall {
	return append(append(accessStressCalls(), dataKeyStressCalls()...), []stressCall{
		{"Encrypt", false, callOn(OpEncrypt, (*stressFixture).hot)},
		{"Decrypt", false, callOn(OpDecrypt, (*stressFixture).hot)},
		{"AppendDecrypt", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.AppendDecrypt(ctx, make([]byte, 0, 32), x.symmetric.ct, nil))
		}},
		{"ReEncrypt", false, callOn(OpReEncryptFrom, (*stressFixture).hot)},
		{"ReEncryptAll", false, func(ctx context.Context, x *stressFixture) error {
			item := ReEncryptItem{ID: "1", Ciphertext: x.symmetric.other}
			return second(x.Client.ReEncryptAll(ctx, "target", items(item), discardReEncrypted, ReEncryptOptions{}))
		}},
		{"GenerateDataKey", false, func(ctx context.Context, x *stressFixture) error {
			dk, err := x.Client.GenerateDataKey(ctx, x.symmetric.key.ID, 32, nil)
			dk.Destroy()
			return err
		}},
		{"GenerateDataKeyWithoutPlaintext", false, callOn(OpGenerateDataKeyWithoutPlaintext, (*stressFixture).hot)},
		{"OpenDataKey", false, callOn(OpOpenDataKey, (*stressFixture).hot)},
		{"GenerateRandom", false, func(ctx context.Context, x *stressFixture) error { return second(x.Client.GenerateRandom(ctx, 32)) }},
		{"GenerateMac", false, callOn(OpGenerateMac, (*stressFixture).macKey)},
		{"VerifyMac", false, callOn(OpVerifyMac, (*stressFixture).macKey)},
		{"Sign", false, callOn(OpSign, (*stressFixture).signer)},
		{"Verify", false, callOn(OpVerify, (*stressFixture).signer)},
		{"PublicKey", false, callOn(OpPublicKey, (*stressFixture).signer)},
		{"Signer", false, func(ctx context.Context, x *stressFixture) error { return second(x.Client.Signer(ctx, x.pair.key.ID)) }},
		{"GenerateDataKeyPair", false, callOn(OpGenerateDataKeyPair, (*stressFixture).hot)},
		{"GenerateDataKeyPairWithoutPlaintext", false, callOn(OpGenerateDataKeyPairWithoutPlaintext, (*stressFixture).hot)},
		{"AsymmetricEncrypt", false, callOn(OpAsymmetricEncrypt, (*stressFixture).decryption)},
		{"AsymmetricDecrypt", true, callOn(OpAsymmetricDecrypt, (*stressFixture).decryption)},
		{"Decrypter", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.Decrypter(ctx, x.sealed.key.ID))
		}},

		{"CreateKey", true, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.CreateKey(ctx, KeyOptions{}))
		}},
		{"RotateKey", false, callOn(OpRotateKey, (*stressFixture).hot)},
		{"SetRotation", false, callOn(OpSetRotation, (*stressFixture).hot)},
		{"GetRotation", false, callOn(OpGetRotation, (*stressFixture).hot)},
		{"SetMinimumVersion", false, callOn(OpSetMinimumVersion, (*stressFixture).hot)},
		{"TrimKeyVersion", false, callOn(OpTrimKeyVersion, (*stressFixture).hot)},
		{"MoveKey", true, func(ctx context.Context, x *stressFixture) error {
			k, err := x.Client.CreateKey(ctx, KeyOptions{})
			if err == nil {
				_, err = x.Client.MoveKey(ctx, k.ID, "hsm")
			}
			return err
		}},
		{"DescribeKey", false, callOn(OpDescribeKey, (*stressFixture).hot)},
		{"DescribeKeys", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.DescribeKeys(ctx, x.symmetric.key.ID, x.pair.key.ID))
		}},
		{"ListKeys", true, func(ctx context.Context, x *stressFixture) error { return drain(x.Client.ListKeys(ctx, KeyFilter{})) }},
		{"ListKeysPage", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.ListKeysPage(ctx, KeyFilter{}, PageRequest{}))
		}},
		{"ListKeyVersions", true, callOn(OpListKeyVersions, (*stressFixture).hot)},
		{"SetAlias", false, callOn(OpSetAlias, (*stressFixture).hot)},
		{"MoveAlias", true, func(ctx context.Context, x *stressFixture) error {
			alias := "moved-" + rand.Text()
			var keys [2]Key
			for i, o := range []KeyOptions{{Alias: alias}, {}} {
				k, err := x.Client.CreateKey(ctx, o)
				if err != nil {
					return err
				}
				keys[i] = k
			}
			return x.Client.MoveAlias(ctx, alias, keys[1].ID)
		}},
		{"DeleteAlias", false, callOn(OpDeleteAlias, (*stressFixture).hot)},
		{"SetDescription", false, callOn(OpSetDescription, (*stressFixture).signer)},
		{"TagKey", false, callOn(OpTagKey, (*stressFixture).signer)},
		{"UntagKey", false, callOn(OpUntagKey, (*stressFixture).signer)},
		{"EnableKeys", false, callOn(OpEnableKey, (*stressFixture).hot)},
		{"DisableKeys", false, func(ctx context.Context, x *stressFixture) error {
			return errors.Join(x.Client.DisableKeys(ctx, x.symmetric.key.ID), x.Client.EnableKeys(ctx, x.symmetric.key.ID))
		}},

		{"ParametersForImport", true, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.ParametersForImport(ctx, x.external.key.ID, ImportRequest{}))
		}},
		{"ImportKeyMaterial", true, func(ctx context.Context, x *stressFixture) error { return x.bring(ctx) }},
		{"DeleteImportedKeyMaterial", true, func(ctx context.Context, x *stressFixture) error {
			return errors.Join(x.Client.DeleteImportedKeyMaterial(ctx, x.external.key.ID), x.bring(ctx))
		}},

		{"ArchiveKey", true, onNewKey(func(ctx context.Context, c Client, key string) error { return c.ArchiveKey(ctx, key) })},
		{"CancelKeyArchive", true, onNewKey(func(ctx context.Context, c Client, key string) error {
			return errors.Join(c.ArchiveKey(ctx, key), c.CancelKeyArchive(ctx, key))
		})},
		{"ScheduleKeyDeletion", true, onNewKey(func(ctx context.Context, c Client, key string) error {
			return errors.Join(c.DisableKeys(ctx, key), second(c.ScheduleKeyDeletion(ctx, key, MinDeletionDays)))
		})},
		{"CancelKeyDeletion", true, onNewKey(func(ctx context.Context, c Client, key string) error {
			return errors.Join(c.DisableKeys(ctx, key), second(c.ScheduleKeyDeletion(ctx, key, MinDeletionDays)), c.CancelKeyDeletion(ctx, key))
		})},
		{"AddAlias", true, onNewKey(func(ctx context.Context, c Client, key string) error { return c.AddAlias(ctx, key, "of/"+key) })},
		{"BindResource", true, onNewKey(func(ctx context.Context, c Client, key string) error { return c.BindResource(ctx, key, "r") })},
		{"UnbindResource", true, onNewKey(func(ctx context.Context, c Client, key string) error {
			return errors.Join(c.BindResource(ctx, key, "r"), c.UnbindResource(ctx, key, "r"))
		})},
		{"ListBindings", false, callOn(OpListBindings, (*stressFixture).hot)},
		{"ListAlgorithms", false, func(ctx context.Context, x *stressFixture) error { return second(x.Client.ListAlgorithms(ctx)) }},
		{"AuditCheckpoint", false, func(ctx context.Context, x *stressFixture) error { return second(x.Client.AuditCheckpoint(ctx)) }},
		{"AuditInclusion", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.AuditInclusion(ctx, 0, 1))
		}},
		{"AuditConsistency", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.AuditConsistency(ctx, 1, 1))
		}},
		{"Orphans", false, func(ctx context.Context, x *stressFixture) error { return second(x.Client.Orphans(ctx, "hsm")) }},
		{"SetTimeBack", false, func(ctx context.Context, x *stressFixture) error {
			if err := x.Client.SetTimeBack(ctx, time.Time{}); !errors.Is(err, ErrInvalid) {
				return err
			}
			return nil
		}},
		{"ConfirmTime", false, func(ctx context.Context, x *stressFixture) error { return x.Client.ConfirmTime(ctx) }},
		{"ListProtectors", false, func(ctx context.Context, x *stressFixture) error { return second(x.Client.ListProtectors(ctx)) }},
		{"Backup", true, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.Backup(ctx, io.Discard, BackupOptions{}, x.way))
		}},
		{"AddProtector", true, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.AddProtector(ctx, x.way, x.way))
		}},
		{"RemoveProtector", true, func(ctx context.Context, x *stressFixture) error {
			list, err := x.Client.ListProtectors(ctx)
			if err == nil {
				err = x.Client.RemoveProtector(ctx, list[len(list)-1].ID)
			}
			return err
		}},
		{"RotateRoot", true, func(ctx context.Context, x *stressFixture) error { return x.Client.RotateRoot(ctx, x.way) }},

		{"AuditRecords", true, func(ctx context.Context, x *stressFixture) error {
			return drain(x.Client.AuditRecords(ctx, audit.Filter{}))
		}},
		{"LastAuditRecords", true, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.LastAuditRecords(ctx, maxLastRecords))
		}},
		{"ExportAuditBefore", true, func(ctx context.Context, x *stressFixture) error {
			return x.Client.ExportAuditBefore(ctx, io.Discard, 1)
		}},
		{"ExportAudit", true, func(ctx context.Context, x *stressFixture) error { return x.Client.ExportAudit(ctx, io.Discard) }},
		{"Check", true, func(ctx context.Context, x *stressFixture) error { return x.Client.Check(ctx) }},
	}...)
}

// drain consumes an iterator and returns its last error.
func drain[T any](all func(func(T, error) bool)) (last error) {
	for _, err := range all {
		last = err
	}
	return last
}

// bring imports the external CMK's material, unless another goroutine is doing so.
func (x *stressFixture) bring(ctx context.Context) error {
	p, err := x.Client.ParametersForImport(ctx, x.external.key.ID, ImportRequest{})
	if err != nil {
		return err
	}
	wrapped, err := wrapped(p, x.external.parcel.plain)
	if err != nil {
		return err
	}
	return second(x.Client.ImportKeyMaterial(ctx, x.external.key.ID, ImportMaterial{Token: p.Token, EncryptedMaterial: wrapped}))
}

// crossed are the errors that concurrent changes can cause.
var crossed = []error{ErrKeyState, ErrThrottled, ErrNotFound, ErrExists, ErrImport, ErrInvalid, ErrUnlock}

func allowedError(err error) bool {
	for _, e := range crossed {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// TestAllOperationsConcurrently: 64 goroutines make all calls. In the order of the audit
// log no CMK is used while it is disabled or without material; the export verifies; and
// after Close no goroutine, descriptor or locked page is left.
func TestAllOperationsConcurrently(t *testing.T) {
	before := descriptors(t)
	device := drivertest.NewMemory()
	cfg := testConfig()
	cfg.Drivers, cfg.Policies = map[string]driver.Driver{"hsm": device}, anyPolicies{}
	v, _ := newTestVault(t, cfg)
	x := newStressFixture(t, v.As(DefaultOwner))
	all := stressCalls()
	done := make([]atomic.Int64, len(all))
	var users sync.WaitGroup
	for i := range 64 {
		users.Go(func() {
			for n := range all {
				at := (n + i*len(all)/64) % len(all)
				if all[at].rare && i%8 != 0 {
					continue
				}
				switch err := all[at].call(t.Context(), x); {
				case err == nil:
					done[at].Add(1)
				case !allowedError(err):
					t.Errorf("%s: %v", all[at].method, err)
				}
			}
		})
	}
	users.Wait()
	// Cuts come last, because the whole log is verified before.
	named := map[string]bool{"CutAudit": true, "AuditCut": true}
	for i := range all {
		named[all[i].method] = true
		if done[i].Load() == 0 {
			t.Errorf("no call of %s ended", all[i].method)
		}
	}
	for m := range reflect.TypeFor[Client]().Methods() {
		if !named[m.Name] {
			t.Errorf("no call of %s in stressCalls", m.Name)
		}
	}
	checkOrder(t, x.Client)
	var export bytes.Buffer
	if err := x.Client.ExportAudit(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.VerifyExport(&export, v.LogKey()); err != nil {
		t.Error(err)
	}
	cut, err := x.Client.CutAudit(t.Context(), CutRequest{Before: 1, Export: io.Discard})
	if kept, keptErr := x.Client.AuditCut(t.Context()); err != nil || keptErr != nil || !bytes.Equal(cut, kept) {
		t.Errorf("CutAudit: %v; AuditCut: %v, the same cut: %v", err, keptErr, bytes.Equal(cut, kept))
	}
	closeChecked(t, v)
	device.Close()
	if v.arena.InUse() != 0 || v.arena.LockedBytes() != 0 {
		t.Errorf("%d buffers, %d bytes locked after Close", v.arena.InUse(), v.arena.LockedBytes())
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	goleak.VerifyNone(t, memguardsOwn())
}

// checkOrder follows each CMK's state through the audit log, and checks that the state
// allowed each recorded operation.
func checkOrder(t *testing.T, c Client) {
	t.Helper()
	states, uses, refused := map[string]KeyState{}, 0, 0
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		op := Operation(r.Operation)
		now, followed := states[r.Key]
		if r.Error == errorName(ErrKeyState) {
			refused++
		}
		if r.Phase == audit.Intent || r.Phase == audit.Single && r.Result == audit.OK {
			if _, acts := stateTable[op]; acts && followed {
				if uses++; !now.allows(op) {
					t.Errorf("record %d: %s in state %s", r.Seq, op, now)
				}
			}
		}
		switch {
		case op == OpDeleteImportedKeyMaterial && r.Phase == audit.Intent:
			states[r.Key] = PendingImport
		case r.Result != audit.OK:
		case op == OpDisableKey, op == OpCancelKeyDeletion:
			states[r.Key] = Disabled
		case op == OpScheduleKeyDeletion:
			states[r.Key] = PendingDeletion
		case op == OpEnableKey, op == OpImportKeyMaterial:
			states[r.Key] = Enabled
		}
	}
	if uses == 0 || refused == 0 {
		t.Errorf("%d uses, %d refused: no calls were concurrent with a Disable", uses, refused)
	}
}
