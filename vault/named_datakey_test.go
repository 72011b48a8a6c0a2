package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/datakeyrecords"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/keyid"
)

// mustDataKey makes a named data key.
func mustDataKey(t testing.TB, c Client, key, name string) NamedDataKey {
	t.Helper()
	k, err := c.CreateDataKey(t.Context(), key, 32, DataKeyOptions{Name: name})
	must(t, err)
	return k
}

// openedBytes returns the bytes of a named data key.
func openedBytes(t *testing.T, c Client, dataKey string) []byte {
	t.Helper()
	k, err := c.OpenNamedDataKey(t.Context(), dataKey)
	if err != nil {
		t.Fatalf("OpenNamedDataKey(%s): %v", dataKey, err)
	}
	defer k.Destroy()
	return bytesOf(t, k)
}

// describeOne describes one named data key.
func describeOne(t testing.TB, c Client, dataKey string) NamedDataKey {
	t.Helper()
	all, err := c.DescribeDataKeys(t.Context(), dataKey)
	must(t, err)
	return all[0]
}

// withDataKey calls use with a named data key that stands in the given state on the CMK of s,
// whatever the type of that, and removes it again.
func (s subject) withDataKey(ctx context.Context, c Client, state KeyState, use func(id string) error) error {
	h, err := ciphertext.Parse(s.ct)
	if err != nil {
		return err
	}
	k := storedDataKey{NamedDataKey{ID: keyid.New(c.vault.entropy.ID()), Name: "n" + rand.Text(), Key: s.key.ID, Version: h.Version, State: state, Size: len(s.ct) - Overhead}, s.ct}
	if state == PendingDeletion {
		k.DeletionDate = time.Now().Add(100 * 365 * day)
	}
	err = c.vault.store.Commit(ctx, func(tx *keystore.Tx) error { return addDataKey(tx, k) })
	if err != nil {
		return err
	}
	err = use(k.ID)
	return errors.Join(err, c.vault.store.Commit(ctx, func(tx *keystore.Tx) error {
		now, err := dataKeyInTx(tx, k.ID)
		if errors.Is(err, keystore.ErrNotFound) {
			return nil // removed with its CMK
		}
		if err != nil {
			return err
		}
		return now.records().Remove(tx)
	}))
}

// dataKeyActs has one call for each operation on a named data key.
var dataKeyActs = map[Operation]func(context.Context, Client, string) error{
	OpDescribeDataKey: func(ctx context.Context, c Client, id string) error { return second(c.DescribeDataKeys(ctx, id)) },
	OpSetDataKeyName: func(ctx context.Context, c Client, id string) error {
		return c.SetDataKeyName(ctx, id, "r"+rand.Text())
	},
	OpSetDataKeyDescription: func(ctx context.Context, c Client, id string) error {
		return c.SetDataKeyDescription(ctx, id, "d")
	},
	OpEnableDataKey:  func(ctx context.Context, c Client, id string) error { return c.EnableDataKeys(ctx, id) },
	OpDisableDataKey: func(ctx context.Context, c Client, id string) error { return c.DisableDataKeys(ctx, id) },
	OpScheduleDataKeyDeletion: func(ctx context.Context, c Client, id string) error {
		return second(c.ScheduleDataKeyDeletion(ctx, id, MaxDeletionDays))
	},
	OpCancelDataKeyDeletion: func(ctx context.Context, c Client, id string) error { return c.CancelDataKeyDeletion(ctx, id) },
	OpGetDataKeyCiphertext: func(ctx context.Context, c Client, id string) error {
		return second(c.DataKeyCiphertext(ctx, id))
	},
	OpOpenNamedDataKey: func(ctx context.Context, c Client, id string) error {
		k, err := c.OpenNamedDataKey(ctx, id)
		k.Destroy()
		return err
	},
	OpOpenNamedDataKeyTo: func(ctx context.Context, c Client, id string) error {
		return second(c.OpenNamedDataKeyTo(ctx, recipient(), id))
	},
	OpReEncryptFrom: func(ctx context.Context, c Client, id string) error { return second(c.ReEncryptDataKey(ctx, id)) },
}

// stateFor is a state in which a named data key allows an operation.
func stateFor(op Operation) KeyState {
	for i, state := range dataKeyStates {
		if dataKeyStateTable[op][i] == '+' {
			return state
		}
	}
	return ""
}

// withDataKeyActs adds the calls for the operations on named data keys.
func withDataKeyActs(out map[Operation]func(context.Context, Client, subject) error) map[Operation]func(context.Context, Client, subject) error {
	options := func() DataKeyOptions { return DataKeyOptions{Name: "n" + rand.Text()} }
	out[OpCreateDataKey] = func(ctx context.Context, c Client, s subject) error {
		return second(c.CreateDataKey(ctx, s.key.ID, 32, options()))
	}
	out[OpImportDataKey] = func(ctx context.Context, c Client, s subject) error {
		return second(c.ImportDataKey(ctx, s.key.ID, make([]byte, 32), options()))
	}
	out[OpImportDataKeyCiphertext] = func(ctx context.Context, c Client, s subject) error {
		return second(c.ImportDataKeyCiphertext(ctx, s.ct, options()))
	}
	for op, act := range dataKeyActs {
		if op != OpReEncryptFrom {
			out[op] = func(ctx context.Context, c Client, s subject) error {
				return s.withDataKey(ctx, c, stateFor(op), func(id string) error { return act(ctx, c, id) })
			}
		}
	}
	return out
}

// TestDataKeyStateTable runs each operation on a named data key in each of its states, and
// compares result and record with the table.
func TestDataKeyStateTable(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, Config{Edition: testEdition(), Authorizer: authorizerFunc(allowEveryone)})
	c := v.As(DefaultOwner)
	s := subject{key: mustKey(t, c, KeyOptions{})}
	var err error
	s.ct, err = c.GenerateDataKeyWithoutPlaintext(t.Context(), s.key.ID, 32, nil)
	must(t, err)
	for op, row := range dataKeyStateTable {
		if op == OpReEncryptTo {
			continue // the other half of ReEncryptFrom
		}
		for i, state := range dataKeyStates {
			p := Principal(fmt.Sprintf("%s in %s", op, state))
			err := s.withDataKey(t.Context(), c, state, func(id string) error {
				err := dataKeyActs[op](t.Context(), v.As(p), id)
				var mine *Error
				if err != nil && (!errors.As(err, &mine) || mine.DataKey != id || mine.Key != s.key.ID || mine.State != state) {
					t.Errorf("%s: the error is %#v", p, mine)
				}
				return err
			})
			want := error(nil)
			if row[i] != '+' {
				want = ErrDataKeyState
			}
			if !errors.Is(err, want) || want == nil && err != nil || want != nil && !errors.Is(err, ErrKeyState) {
				t.Errorf("%s: %v, want %v", p, err, want)
			}
			checkRecord(t, v, p, op, want)
		}
	}
}

// TestNamedDataKeys makes, imports and opens named data keys, over rotations, re-encryption and
// a restart.
func TestNamedDataKeys(t *testing.T) {
	t.Parallel()
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{Alias: "cmk"})
	made, err := c.CreateDataKey(ctx, "cmk", DataKeyDefault, DataKeyOptions{Name: "made", Description: "d", Context: EncryptionContext{"tenant": "a"}})
	must(t, err)
	want := NamedDataKey{ID: made.ID, Name: "made", Description: "d", Key: key.ID, Version: 1, State: Enabled, Size: v.suite.KeySize(), Origin: OriginVault,
		Context: EncryptionContext{"tenant": "a"}, Created: made.Created, Creator: DefaultOwner}
	if !reflect.DeepEqual(made, want) || time.Since(made.Created) > time.Hour {
		t.Errorf("CreateDataKey returned %+v, want %+v", made, want)
	}
	plain := bytes.Repeat([]byte{7}, 48)
	imported, err := c.ImportDataKey(ctx, key.ID, plain, DataKeyOptions{Name: "imported"})
	must(t, err)
	generated, err := c.GenerateDataKey(ctx, key.ID, 32, EncryptionContext{"x": "y"})
	must(t, err)
	defer generated.Destroy()
	brought, err := c.ImportDataKeyCiphertext(ctx, generated.Ciphertext(), DataKeyOptions{Name: "brought", Context: EncryptionContext{"x": "y"}})
	must(t, err)
	if imported.Origin != OriginExternal || imported.Size != 48 || brought.Origin != OriginExternal || brought.Size != 32 || brought.Key != key.ID {
		t.Errorf("imported: %+v, %+v", imported, brought)
	}
	if got := openedBytes(t, c, "imported"); !bytes.Equal(got, plain) {
		t.Errorf("the imported data key is %x", got)
	}
	first := openedBytes(t, c, "made")
	if len(first) != want.Size || bytes.Equal(first, make([]byte, len(first))) {
		t.Errorf("the data key is %x", first)
	}
	ct, err := c.DataKeyCiphertext(ctx, made.ID)
	must(t, err)
	if got, err := c.Decrypt(ctx, ct, EncryptionContext{"tenant": "a"}); err != nil || !bytes.Equal(got, first) {
		t.Errorf("Decrypt of the ciphertext: %x, %v", got, err)
	}
	if got, err := c.DataKeyCiphertext(ctx, "brought"); err != nil || !bytes.Equal(got, generated.Ciphertext()) {
		t.Errorf("the ciphertext of an imported ciphertext: %x, %v", got, err)
	}
	_, err = c.RotateKey(ctx, key.ID)
	must(t, err)
	must(t, c.SetDataKeyName(ctx, "made", "renamed"))
	again, err := c.ReEncryptDataKey(ctx, "renamed")
	if want.Name, want.Version = "renamed", 2; err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("ReEncryptDataKey: %+v, %v, want %+v", again, err, want)
	}
	closeChecked(t, v)
	v, err = Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	if got := describeOne(t, c, "renamed"); !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart: %+v, want %+v", got, want)
	}
	must(t, c.SetMinimumVersion(ctx, key.ID, 2))
	if got := openedBytes(t, c, made.ID); !bytes.Equal(got, first) {
		t.Errorf("after rotation, re-encryption and restart: %x, want %x", got, first)
	}
	if _, err := c.OpenNamedDataKey(ctx, "imported"); !errors.Is(err, ErrMinimumVersion) {
		t.Errorf("a data key below the minimum version: %v", err)
	}
	if _, err := c.OpenNamedDataKey(ctx, "made"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the former name: %v", err)
	}
	uses := describeUses(t, c, key.ID)
	if uses.Protected != 4 || uses.Processed != 6 { // one GenerateDataKey, one ReEncrypt; Decrypt, ReEncrypt, ImportDataKeyCiphertext, 3 times opened
		t.Errorf("uses: %+v", uses)
	}
}

func describeUses(t *testing.T, c Client, key string) KeyUses {
	t.Helper()
	k, err := c.DescribeKey(t.Context(), key)
	must(t, err)
	return *k.Uses
}

// TestDataKeyOfUnusableKey: a data key is as usable as its CMK, and ends with it.
func TestDataKeyOfUnusableKey(t *testing.T) {
	t.Parallel()
	v, c, fake, dir := newClockVault(t)
	ctx := t.Context()
	key, other := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{})
	const many = 2*maxKeys + 5
	for i := range many {
		mustDataKey(t, c, key.ID, fmt.Sprint("k-", i))
	}
	kept := mustDataKey(t, c, other.ID, "kept")
	must(t, c.DisableDataKeys(ctx, "k-1", "k-2"))
	_, err := c.ScheduleDataKeyDeletion(ctx, "k-2", MaxDeletionDays)
	must(t, err)
	refused := func(when string) {
		t.Helper()
		_, open := c.OpenNamedDataKey(ctx, "k-0")
		_, read := c.DataKeyCiphertext(ctx, "k-0")
		for _, err := range []error{open, read} {
			if !errors.Is(err, ErrKeyState) || errors.Is(err, ErrDataKeyState) {
				t.Errorf("%s: %v, want ErrKeyState of the CMK", when, err)
			}
		}
	}
	must(t, c.ArchiveKey(ctx, key.ID))
	openedBytes(t, c, "k-0")
	must(t, c.DisableKeys(ctx, key.ID))
	refused("disabled CMK")
	must(t, c.EnableKeys(ctx, key.ID))
	openedBytes(t, c, "k-0")
	mustSchedule(t, c, key.ID, MinDeletionDays)
	refused("CMK in PendingDeletion")
	must(t, c.DisableDataKeys(ctx, "k-0"))
	fake.Advance(MinDeletionDays * day)
	runDeletion(t, c, key.ID, Destroyed)
	if _, err := c.OpenNamedDataKey(ctx, "k-0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a data key of a destroyed CMK: %v", err)
	}
	if records := recordsOf(t, c, OpDestroyDataKey); len(records) != many || records[0].Key != key.ID || records[0].Detail["dataKey"] == "" {
		t.Errorf("%d records of the removal of %d data keys, the first is %+v", len(records), many, records[0])
	}
	left := 0
	for _, folder := range []string{"datakey/", "datakey-name/", "datakey-of/", "datakey-count/", "datakey-deletion/"} {
		left += len(v.store.Paths(folder))
	}
	if left != 4 {
		t.Errorf("%d records of data keys are left, want the 4 of one data key", left)
	}
	fake.Advance(MaxDeletionDays * day) // the removal of k-2 finds nothing
	v.tasks.RunDue(ctx)
	v.tasks.Wait()
	mustDataKey(t, c, other.ID, "k-0") // the name is free
	closeChecked(t, v)
	v, err = Open(ctx, dir, Config{Edition: testEdition(), Clock: fake}, passphrase(t, "correct horse"))
	must(t, err)
	defer closeChecked(t, v)
	openedBytes(t, v.As(DefaultOwner), kept.ID)
}

// recordsOf returns the records of an operation.
func recordsOf(t *testing.T, c Client, op Operation) (all []audit.Record) {
	t.Helper()
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(op)}) {
		must(t, err)
		all = append(all, r)
	}
	return all
}

// TestScheduleDataKeyDeletion: a named data key is removed at its date and not before, also
// after a restart and a second scheduling.
func TestScheduleDataKeyDeletion(t *testing.T) {
	t.Parallel()
	v, c, fake, dir := newClockVault(t)
	ctx := t.Context()
	key := mustKey(t, c, KeyOptions{})
	for _, name := range []string{"gone", "cancelled", "again"} {
		mustDataKey(t, c, key.ID, name)
		must(t, c.DisableDataKeys(ctx, name))
		k, err := c.ScheduleDataKeyDeletion(ctx, name, MinDeletionDays)
		if err != nil || k.State != PendingDeletion || !k.DeletionDate.Equal(fake.Now().Add(MinDeletionDays*day)) {
			t.Errorf("ScheduleDataKeyDeletion: %+v, %v", k, err)
		}
	}
	id := describeOne(t, c, "gone").ID
	must(t, c.CancelDataKeyDeletion(ctx, "cancelled"))
	must(t, c.CancelDataKeyDeletion(ctx, "again"))
	_, err := c.ScheduleDataKeyDeletion(ctx, "again", MaxDeletionDays)
	must(t, err)
	for _, days := range []int{MinDeletionDays - 1, MaxDeletionDays + 1} {
		if _, err := c.ScheduleDataKeyDeletion(ctx, "cancelled", days); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d days: %v", days, err)
		}
	}
	run := func() {
		v.tasks.RunAll(ctx, []string{datakeyrecords.DeletionPath(id), datakeyrecords.DeletionPath(describeOne(t, c, "again").ID), datakeyrecords.DeletionPath(describeOne(t, c, "cancelled").ID)})
	}
	fake.Advance(MinDeletionDays*day - time.Second)
	run()
	if k := describeOne(t, c, id); k.State != PendingDeletion {
		t.Errorf("a second before the date: %+v", k)
	}
	closeChecked(t, v)
	fake.Advance(time.Second)
	v, err = Open(ctx, dir, Config{Edition: testEdition(), Clock: fake}, passphrase(t, "correct horse"))
	must(t, err)
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	poll.Until(t, "the data key is removed", func() bool { return v.store.Version(datakeyrecords.Path(id)) == 0 })
	run()
	if a, b := describeOne(t, c, "again"), describeOne(t, c, "cancelled"); a.State != PendingDeletion || b.State != Disabled || !b.DeletionDate.IsZero() {
		t.Errorf("scheduled again: %+v; cancelled: %+v", a, b)
	}
	if last := lastRecord(t, c, OpDestroyDataKey); last.Principal != string(principalVault) || last.Detail["dataKeyName"] != "gone" || last.Detail["date"] == "" {
		t.Errorf("the record of the removal: %+v", last)
	}
	fake.Advance((MaxDeletionDays - MinDeletionDays) * day)
	if err := c.CancelDataKeyDeletion(ctx, "again"); !errors.Is(err, ErrDataKeyState) && !errors.Is(err, ErrNotFound) {
		t.Errorf("CancelDataKeyDeletion at the date: %v", err)
	}
	poll.Until(t, "the second data key is removed", func() bool {
		v.tasks.RunDue(ctx)
		return len(v.store.Paths(datakeyrecords.Deletions)) == 0
	})
}

// TestDataKeyLimits: wrong names, descriptions, contexts and sizes are refused, and names are
// unique.
func TestDataKeyLimits(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{})
	mustDataKey(t, c, key.ID, "taken")
	mustDataKey(t, c, key.ID, "other")
	ct, err := c.Encrypt(ctx, key.ID, make([]byte, MaxRandom+1), nil)
	must(t, err)
	empty, err := c.Encrypt(ctx, key.ID, nil, nil)
	must(t, err)
	create := func(size int, o DataKeyOptions) error { return second(c.CreateDataKey(ctx, key.ID, size, o)) }
	bring := func(ct []byte, o DataKeyOptions) error { return second(c.ImportDataKeyCiphertext(ctx, ct, o)) }
	wrong := EncryptionContext{"a": "b"}
	good, err := c.DataKeyCiphertext(ctx, "taken")
	must(t, err)
	for i, row := range []struct{ got, want error }{
		{create(32, DataKeyOptions{}), ErrInvalid},
		{create(32, DataKeyOptions{Name: "-a"}), ErrInvalid},
		{create(32, DataKeyOptions{Name: strings.Repeat("a", maxDataKeyName+1)}), ErrInvalid},
		{create(32, DataKeyOptions{Name: key.ID}), ErrInvalid},
		{create(32, DataKeyOptions{Name: "taken"}), ErrExists},
		{create(-1, DataKeyOptions{Name: "a"}), ErrInvalid},
		{create(MaxRandom+1, DataKeyOptions{Name: "a"}), ErrTooLarge},
		{create(32, DataKeyOptions{Name: "a", Description: strings.Repeat("d", inputtext.MaxDescription+1)}), ErrTooLarge},
		{create(32, DataKeyOptions{Name: "a", Context: EncryptionContext{"": "x"}}), ErrInvalid},
		{create(32, DataKeyOptions{Name: "a", Context: EncryptionContext{"x": strings.Repeat("\x01", 8000)}}), ErrTooLarge},
		{second(c.ImportDataKey(ctx, key.ID, nil, DataKeyOptions{Name: "a"})), ErrInvalid},
		{second(c.ImportDataKey(ctx, key.ID, make([]byte, MaxRandom+1), DataKeyOptions{Name: "a"})), ErrTooLarge},
		{bring(ct, DataKeyOptions{Name: "a"}), ErrCiphertext},
		{bring(empty, DataKeyOptions{Name: "a"}), ErrCiphertext},
		{bring([]byte("x"), DataKeyOptions{Name: "a"}), ErrCiphertext},
		{bring(good, DataKeyOptions{Name: "a", Context: wrong}), ErrCiphertext},
		{bring(good, DataKeyOptions{Name: "taken"}), ErrExists},
		{c.SetDataKeyName(ctx, "taken", "other"), ErrExists},
		{c.SetDataKeyName(ctx, "taken", "a b"), ErrInvalid},
		{c.SetDataKeyName(ctx, "taken", "taken"), nil},
		{c.SetDataKeyDescription(ctx, "taken", "\xff"), ErrInvalid},
		{c.SetDataKeyDescription(ctx, "none", "d"), ErrNotFound},
		{c.EnableDataKeys(ctx, ""), ErrNotFound},
		{c.EnableDataKeys(ctx, make([]string, maxKeys+1)...), ErrInvalid},
	} {
		if !errors.Is(row.got, row.want) || row.want == nil && row.got != nil {
			t.Errorf("call %d: %v, want %v", i, row.got, row.want)
		}
	}
	must(t, v.store.Commit(ctx, func(tx *keystore.Tx) error {
		tx.Put(datakeyrecords.CountPath(key.ID), fmt.Append(nil, datakeyrecords.Limit))
		return nil
	}))
	if err := create(32, DataKeyOptions{Name: "a"}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one data key more than the limit: %v", err)
	}
}

// TestDataKeyBatch: a call for several data keys changes those that it can, and names the
// others.
func TestDataKeyBatch(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{})
	mustDataKey(t, c, key.ID, "a")
	mustDataKey(t, c, key.ID, "b")
	err := c.DisableDataKeys(ctx, "a", "none", "b", "a")
	var some *BatchError
	if !errors.As(err, &some) || len(some.Errs) != 4 || some.Errs[0] != nil || !errors.Is(some.Errs[1], ErrNotFound) || some.Errs[2] != nil || some.Errs[3] != nil {
		t.Fatalf("DisableDataKeys: %v", err)
	}
	all, err := c.DescribeDataKeys(ctx, "b", "none", "a")
	if !errors.As(err, &some) || len(all) != 3 || all[0].State != Disabled || all[1].ID != "" || all[2].State != Disabled {
		t.Errorf("DescribeDataKeys: %+v, %v", all, err)
	}
}

// TestDataKeyRequests: the Authorizer sees the data key, its context and its CMK, also for one
// that does not exist, and a denied caller gets the same error for both.
func TestDataKeyRequests(t *testing.T) {
	t.Parallel()
	var seen Request
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		if r.Principal == "user" {
			seen = r
		}
		return Decision{Allow: r.Principal != "mallory"}, nil
	})
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{Alias: "cmk", Tags: map[string]string{"a": "b"}})
	k, err := c.CreateDataKey(ctx, key.ID, 32, DataKeyOptions{Name: "dk", Context: EncryptionContext{"t": "1"}})
	must(t, err)
	must(t, second(v.As("user").CreateDataKey(ctx, key.ID, 32, DataKeyOptions{Name: "second", Context: EncryptionContext{"t": "2"}})))
	if seen.Operation != OpCreateDataKey || seen.NewAlias != "second" || seen.Key != key.ID || seen.Context["t"] != "2" || seen.DataKey != "" {
		t.Errorf("CreateDataKey was asked as %+v", seen)
	}
	must(t, v.As("user").SetDataKeyName(ctx, "dk", "new"))
	want := Request{Principal: "user", Operation: OpSetDataKeyName, Key: key.ID, Alias: "cmk", Tags: map[string]string{"a": "b"}, Usage: EncryptDecrypt, Origin: OriginVault,
		KeyDriver: softDriver, Context: EncryptionContext{"t": "1"}, DataKey: k.ID, DataKeyName: "dk", NewAlias: "new", Subject: k.ID, Time: seen.Time}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("SetDataKeyName was asked as\n%+v, want\n%+v", seen, want)
	}
	if last := lastRecord(t, c, OpSetDataKeyName); last.Key != key.ID || last.Detail["dataKey"] != k.ID || last.Detail["dataKeyName"] != "dk" || last.Detail["newName"] != "new" || last.ContextHash == nil {
		t.Errorf("recorded as %+v", last)
	}
	absent := keyid.New([16]byte{9})
	for _, name := range []string{absent, "absent", "a b"} {
		_, err := v.As("user").OpenNamedDataKey(ctx, name)
		if !errors.Is(err, ErrNotFound) || seen.Key != "" || seen.DataKey+seen.DataKeyName != name || (seen.DataKey == absent) != (name == absent) {
			t.Errorf("%s: %v, asked as %+v", name, err, seen)
		}
	}
	texts := map[string]bool{}
	for _, name := range []string{k.ID, absent} {
		_, err := v.As("mallory").OpenNamedDataKey(ctx, name)
		var mine *Error
		if !errors.As(err, &mine) || !errors.Is(err, ErrDenied) || mine.Key != "" || mine.DataKey != name {
			t.Errorf("denied: %#v", mine)
		}
		texts[strings.ReplaceAll(err.Error(), name, "")] = true
	}
	if len(texts) != 1 {
		t.Errorf("a denied caller can see what exists: %v", texts)
	}
	if _, err := json.Marshal(k); err != nil {
		t.Error(err)
	}
}

// TestDisabledDataKeyReleasesNothing disables a data key while it is being opened.
func TestDisabledDataKeyReleasesNothing(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	var v *Vault
	asked := 0
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		if r.Principal == "user" {
			if asked++; asked == 1 {
				if err := v.As(DefaultOwner).DisableDataKeys(context.Background(), r.DataKey); err != nil {
					return Decision{}, err
				}
			}
		}
		return Decision{Allow: true}, nil
	})
	v, _ = newTestVault(t, cfg)
	key := mustKey(t, v.As(DefaultOwner), KeyOptions{})
	mustDataKey(t, v.As(DefaultOwner), key.ID, "dk")
	if _, err := v.As("user").OpenNamedDataKey(t.Context(), "dk"); !errors.Is(err, ErrDataKeyState) || asked != 2 {
		t.Errorf("OpenNamedDataKey of a data key that was disabled meanwhile: %v, asked %d times", err, asked)
	}
}

// TestListDataKeys lists by filter and in pages, and withholds what the caller may not
// describe.
func TestListDataKeys(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		return Decision{Allow: r.Principal != "half" || r.Operation == OpListDataKeys || strings.HasPrefix(r.DataKeyName, "a")}, nil
	})
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	one, two := mustKey(t, c, KeyOptions{Alias: "one"}), mustKey(t, c, KeyOptions{})
	for i := range 20 {
		mustDataKey(t, c, one.ID, fmt.Sprint("a-", i))
		mustDataKey(t, c, two.ID, fmt.Sprint("b-", i))
	}
	must(t, c.DisableDataKeys(ctx, "a-1", "b-1"))
	must(t, second(c.ImportDataKey(ctx, one.ID, make([]byte, 99), DataKeyOptions{Name: "a-x"})))
	for _, row := range []struct {
		as   Principal
		f    DataKeyFilter
		want int
	}{
		{DefaultOwner, DataKeyFilter{}, 41}, {DefaultOwner, DataKeyFilter{Key: "one"}, 21}, {DefaultOwner, DataKeyFilter{Key: two.ID}, 20}, {DefaultOwner, DataKeyFilter{Key: "none"}, 0},
		{DefaultOwner, DataKeyFilter{State: Disabled}, 2}, {DefaultOwner, DataKeyFilter{Name: "b-1"}, 11}, {DefaultOwner, DataKeyFilter{Size: 99}, 1},
		{DefaultOwner, DataKeyFilter{Origin: OriginExternal}, 1}, {"half", DataKeyFilter{}, 21}, {"half", DataKeyFilter{Name: "b"}, 0},
	} {
		var all, paged []NamedDataKey
		for k, err := range v.As(row.as).ListDataKeys(ctx, row.f) {
			must(t, err)
			all = append(all, k)
		}
		for p := (PageRequest{Limit: 7}); ; {
			page, err := v.As(row.as).ListDataKeysPage(ctx, row.f, p)
			must(t, err)
			paged = append(paged, page.DataKeys...)
			if p.Token = page.Next; p.Token == "" {
				break
			}
		}
		byID := slices.IsSortedFunc(all, func(a, b NamedDataKey) int { return strings.Compare(a.ID, b.ID) })
		if len(all) != row.want || !reflect.DeepEqual(all, paged) || !byID {
			t.Errorf("%s, %+v: %d data keys, %d in pages, want %d; ordered: %v", row.as, row.f, len(all), len(paged), row.want, byID)
		}
	}
	page, err := c.ListDataKeysPage(ctx, DataKeyFilter{}, PageRequest{Limit: 1})
	must(t, err)
	if _, err := c.ListDataKeysPage(ctx, DataKeyFilter{State: Disabled}, PageRequest{Token: page.Next}); !errors.Is(err, ErrToken) {
		t.Errorf("a token of another filter: %v", err)
	}
	if last := lastRecord(t, v.As(DefaultOwner), OpListDataKeys); last.Error != errorName(ErrToken) {
		t.Errorf("recorded as %+v", last)
	}
}

// TestDataKeysAreRestored: a backup, a repair from the journal and a change of root keep named
// data keys, with their names, states and dates of deletion.
func TestDataKeysAreRestored(t *testing.T) {
	t.Parallel()
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{})
	mustDataKey(t, c, key.ID, "kept")
	mustDataKey(t, c, key.ID, "waiting")
	must(t, c.DisableDataKeys(ctx, "waiting"))
	must(t, second(c.ScheduleDataKeyDeletion(ctx, "waiting", MinDeletionDays)))
	want, plain := describeOne(t, c, "waiting"), openedBytes(t, c, "kept")
	check := func(how string, v *Vault) {
		t.Helper()
		c := v.As(DefaultOwner)
		if got := describeOne(t, c, "waiting"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", how, got, want)
		}
		if got := openedBytes(t, c, "kept"); !bytes.Equal(got, plain) {
			t.Errorf("%s: another data key", how)
		}
		if at := v.tasks.ScheduledAfter(want.DeletionDate.Add(-time.Second)); at != 1 {
			t.Errorf("%s: %d removals are scheduled, want 1", how, at)
		}
		closeChecked(t, v)
	}
	backup, _ := testBackup(t, c, "")
	restored, err := testRestore(t, backup)
	must(t, err)
	check("Restore", restored)
	must(t, c.RotateRoot(ctx, passphrase(t, "correct horse")))
	check("RotateRoot", v)
	files := readDirectory(t, dir)
	for name, content := range files {
		if strings.HasPrefix(name, "store/") && len(content) > 4096 {
			files[name] = make([]byte, len(content))
		}
	}
	files.write(t, dir)
	report, err := Repair(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil || !report.Rebuilt {
		t.Fatalf("Repair: %+v, %v", report, err)
	}
	v, err = Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	check("Repair", v)
}

// TestApprovalOfDataKey: an approval is for the data key that it names, and a grant for one CMK
// has all data keys of that.
func TestApprovalOfDataKey(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Authorizer = oneApprovalFor(OpScheduleDataKeyDeletion)
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	key, other := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{})
	one, two := mustDataKey(t, c, key.ID, "one"), mustDataKey(t, c, key.ID, "two")
	mustDataKey(t, c, other.ID, "three")
	must(t, c.DisableDataKeys(ctx, "one", "two"))
	must(t, v.As("bob").Approve(ctx, Approval{Operation: OpScheduleDataKeyDeletion, Key: key.ID, Subject: one.ID + " 7"}))
	if _, err := c.ScheduleDataKeyDeletion(ctx, two.ID, 7); !errors.Is(err, ErrApproval) {
		t.Errorf("a data key that was not approved: %v", err)
	}
	must(t, second(c.ScheduleDataKeyDeletion(ctx, "one", 7)))
	must(t, c.CancelDataKeyDeletion(ctx, "one"))
	if _, err := c.ScheduleDataKeyDeletion(ctx, "one", 7); !errors.Is(err, ErrApproval) {
		t.Errorf("an approval that is used up: %v", err)
	}
	narrow, _, err := c.Narrow(ctx, Grant{Keys: []string{key.ID}, Operations: []Operation{OpEnableDataKey, OpOpenNamedDataKey}})
	must(t, err)
	must(t, narrow.EnableDataKeys(ctx, "two"))
	openedBytes(t, narrow, "two")
	for what, err := range map[string]error{
		"another CMK": second(narrow.OpenNamedDataKey(ctx, "three")), "no data key": second(narrow.OpenNamedDataKey(ctx, "none")),
		"another operation": narrow.DisableDataKeys(ctx, "two"),
	} {
		if !errors.Is(err, ErrDenied) {
			t.Errorf("a grant, %s: %v", what, err)
		}
	}
}
