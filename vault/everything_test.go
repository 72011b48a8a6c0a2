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

	"go.uber.org/goleak"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// A crowd is a vault with a CMK of each usage, for concurrent use.
type crowd struct {
	Client
	symmetric, mac, pair, sealed, external subject
	way                                    driver.Protector
}

func newCrowd(t *testing.T, c Client) *crowd {
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
	return &crowd{
		Client:    c,
		symmetric: made(Symmetric, EncryptDecrypt, OriginVault),
		mac:       made(HMAC256, GenerateVerifyMac, OriginVault),
		pair:      made(ECCP256, SignVerify, OriginVault),
		sealed:    made(RSA2048, AsymmetricDecrypt, OriginVault),
		external:  made(Symmetric, EncryptDecrypt, OriginExternal),
		way:       passphrase(t, "correct horse"),
	}
}

// A turn is one call of a method of Client.
type turn struct {
	method string
	rare   bool // it takes long; one goroutine of eight makes it
	call   func(context.Context, *crowd) error
}

// does returns a turn that runs the operation as in TestStateTable.
func does(op Operation, of func(*crowd) subject) func(context.Context, *crowd) error {
	return func(ctx context.Context, x *crowd) error { return acts[op](ctx, x.Client, of(x)) }
}

func (x *crowd) hot() subject        { return x.symmetric }
func (x *crowd) macKey() subject     { return x.mac }
func (x *crowd) signer() subject     { return x.pair }
func (x *crowd) decryption() subject { return x.sealed }

// turns returns a turn for each method of Client.
func turns() []turn {
	return []turn{
		{"Encrypt", false, does(OpEncrypt, (*crowd).hot)},
		{"Decrypt", false, does(OpDecrypt, (*crowd).hot)},
		{"DecryptTo", false, func(ctx context.Context, x *crowd) error {
			return second(x.Client.DecryptTo(ctx, make([]byte, 0, 32), x.symmetric.ct, nil))
		}},
		{"ReEncrypt", false, does(OpReEncryptFrom, (*crowd).hot)},
		{"GenerateDataKey", false, func(ctx context.Context, x *crowd) error {
			dk, err := x.Client.GenerateDataKey(ctx, x.symmetric.key.ID, 32, nil)
			dk.Destroy()
			return err
		}},
		{"GenerateDataKeyWithoutPlaintext", false, does(OpGenerateDataKeyWithoutPlaintext, (*crowd).hot)},
		{"OpenDataKey", false, does(OpOpenDataKey, (*crowd).hot)},
		{"GenerateRandom", false, func(ctx context.Context, x *crowd) error { return second(x.Client.GenerateRandom(ctx, 32)) }},
		{"GenerateMac", false, does(OpGenerateMac, (*crowd).macKey)},
		{"VerifyMac", false, does(OpVerifyMac, (*crowd).macKey)},
		{"Sign", false, does(OpSign, (*crowd).signer)},
		{"Verify", false, does(OpVerify, (*crowd).signer)},
		{"PublicKey", false, does(OpPublicKey, (*crowd).signer)},
		{"Signer", false, func(ctx context.Context, x *crowd) error { return second(x.Client.Signer(ctx, x.pair.key.ID)) }},
		{"AsymmetricDecrypt", true, does(OpAsymmetricDecrypt, (*crowd).decryption)},
		{"Decrypter", false, func(ctx context.Context, x *crowd) error { return second(x.Client.Decrypter(ctx, x.sealed.key.ID)) }},

		{"CreateKey", true, func(ctx context.Context, x *crowd) error { return second(x.Client.CreateKey(ctx, KeyOptions{})) }},
		{"RotateKey", false, does(OpRotateKey, (*crowd).hot)},
		{"MoveKey", true, func(ctx context.Context, x *crowd) error {
			k, err := x.Client.CreateKey(ctx, KeyOptions{})
			if err == nil {
				_, err = x.Client.MoveKey(ctx, k.ID, "hsm")
			}
			return err
		}},
		{"DescribeKey", false, does(OpDescribeKey, (*crowd).hot)},
		{"DescribeKeys", false, func(ctx context.Context, x *crowd) error {
			return second(x.Client.DescribeKeys(ctx, x.symmetric.key.ID, x.pair.key.ID))
		}},
		{"ListKeys", true, func(ctx context.Context, x *crowd) error { return exhaust(x.Client.ListKeys(ctx, KeyFilter{})) }},
		{"ListKeyVersions", true, does(OpListKeyVersions, (*crowd).hot)},
		{"SetAlias", false, does(OpSetAlias, (*crowd).hot)},
		{"MoveAlias", true, func(ctx context.Context, x *crowd) error {
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
		{"DeleteAlias", false, does(OpDeleteAlias, (*crowd).hot)},
		{"SetDescription", false, does(OpSetDescription, (*crowd).signer)},
		{"TagKey", false, does(OpTagKey, (*crowd).signer)},
		{"UntagKey", false, does(OpUntagKey, (*crowd).signer)},
		{"EnableKeys", false, does(OpEnableKey, (*crowd).hot)},
		{"DisableKeys", false, func(ctx context.Context, x *crowd) error {
			return errors.Join(x.Client.DisableKeys(ctx, x.symmetric.key.ID), x.Client.EnableKeys(ctx, x.symmetric.key.ID))
		}},

		{"ParametersForImport", true, func(ctx context.Context, x *crowd) error {
			return second(x.Client.ParametersForImport(ctx, x.external.key.ID, ImportRequest{}))
		}},
		{"ImportKeyMaterial", true, func(ctx context.Context, x *crowd) error { return x.bring(ctx) }},
		{"DeleteImportedKeyMaterial", true, func(ctx context.Context, x *crowd) error {
			return errors.Join(x.Client.DeleteImportedKeyMaterial(ctx, x.external.key.ID), x.bring(ctx))
		}},

		{"ListProtectors", false, func(ctx context.Context, x *crowd) error { return second(x.Client.ListProtectors(ctx)) }},
		{"Backup", true, func(ctx context.Context, x *crowd) error {
			return second(x.Client.Backup(ctx, io.Discard, BackupOptions{}, x.way))
		}},
		{"AddProtector", true, func(ctx context.Context, x *crowd) error { return second(x.Client.AddProtector(ctx, x.way, x.way)) }},
		{"RemoveProtector", true, func(ctx context.Context, x *crowd) error {
			list, err := x.Client.ListProtectors(ctx)
			if err == nil {
				err = x.Client.RemoveProtector(ctx, list[len(list)-1].ID)
			}
			return err
		}},
		{"RotateRoot", true, func(ctx context.Context, x *crowd) error { return x.Client.RotateRoot(ctx, x.way) }},

		{"AuditRecords", true, func(ctx context.Context, x *crowd) error { return exhaust(x.Client.AuditRecords(ctx, audit.Filter{})) }},
		{"ExportAudit", true, func(ctx context.Context, x *crowd) error { return x.Client.ExportAudit(ctx, io.Discard) }},
		{"Check", true, func(ctx context.Context, x *crowd) error { return x.Client.Check(ctx) }},
	}
}

// exhaust consumes an iterator and returns its last error.
func exhaust[T any](all func(func(T, error) bool)) (last error) {
	for _, err := range all {
		last = err
	}
	return last
}

// bring imports the external CMK's material, unless another goroutine is doing so.
func (x *crowd) bring(ctx context.Context) error {
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

func excusable(err error) bool {
	for _, e := range crossed {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// TestEverythingAtOnce: 64 goroutines make all calls. In the order of the audit log no CMK
// is used while it is disabled or without material; the export verifies; and after Close no
// goroutine, descriptor or locked page is left.
func TestEverythingAtOnce(t *testing.T) {
	before := descriptors(t)
	device := drivertest.NewMemory()
	cfg := testConfig()
	cfg.Drivers = map[string]driver.Driver{"hsm": device}
	v, _ := newTestVault(t, cfg)
	x := newCrowd(t, v.As(DefaultOwner))
	all := turns()
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
				case !excusable(err):
					t.Errorf("%s: %v", all[at].method, err)
				}
			}
		})
	}
	users.Wait()
	named := map[string]bool{}
	for i := range all {
		named[all[i].method] = true
		if done[i].Load() == 0 {
			t.Errorf("no call of %s ended", all[i].method)
		}
	}
	for m := range reflect.TypeFor[Client]().Methods() {
		if !named[m.Name] {
			t.Errorf("no turn calls %s", m.Name)
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
		case op == OpDisableKey:
			states[r.Key] = Disabled
		case op == OpEnableKey, op == OpImportKeyMaterial:
			states[r.Key] = Enabled
		}
	}
	if uses == 0 || refused == 0 {
		t.Errorf("%d uses, %d refused: no calls were concurrent with a Disable", uses, refused)
	}
}
