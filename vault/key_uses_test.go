package vault

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/usecount"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/usestore"
)

// usesOfKey returns the uses of a CMK and of its versions, and checks that the former are
// the sum of the latter.
func usesOfKey(t *testing.T, c Client, key string) (KeyUses, []KeyVersion) {
	t.Helper()
	k, err := c.DescribeKey(t.Context(), key)
	must(t, err)
	versions, err := c.ListKeyVersions(t.Context(), key)
	must(t, err)
	var sum KeyUses
	for _, ver := range versions {
		sum = sum.add(ver.Uses)
	}
	if k.Uses == nil || *k.Uses != sum {
		t.Errorf("DescribeKey: %+v, want the sum of the versions, %+v", k.Uses, sum)
	}
	return sum, versions
}

// TestUsesOfEachOperation runs each operation of the state table on each kind of CMK. It
// counts if countedAs says so and it succeeds.
func TestUsesOfEachOperation(t *testing.T) {
	t.Parallel()
	for _, row := range specTable {
		if row.spec == RSA3072 || row.spec == RSA4096 {
			continue // like RSA-2048, and slow to make
		}
		t.Run(string(row.spec)+"/"+string(row.usage), func(t *testing.T) {
			t.Parallel()
			needs(t, row.spec)
			fake := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC))
			v, _ := newTestVault(t, Config{Edition: testEdition(), Clock: fake})
			c := v.As(DefaultOwner)
			mustKey(t, c, KeyOptions{Alias: "target"})
			s := newSubject(t, c, row, OriginVault)
			for op := range stateTable {
				for _, state := range []KeyState{Enabled, Disabled} {
					restoreKey(t, v, s.key)
					forceState(t, v, s.key, state)
					fake.Advance(time.Second)
					_, versions := usesOfKey(t, c, s.key.ID)
					if kind, counts := countedAs[op]; counts && wanted(op, s.key, state.allows(op)) == nil {
						if u := &versions[len(versions)-1].Uses; kind == usecount.Protect {
							u.Protected, u.LastProtected = u.Protected+1, fake.Now()
						} else {
							u = &versions[min(len(versions), 2)-1].Uses // of the ciphertext; the first may be trimmed
							u.Processed, u.LastProcessed = u.Processed+1, fake.Now()
						}
					}
					_ = acts[op](t.Context(), c, s)
					_, now := usesOfKey(t, c, s.key.ID)
					for i, ver := range versions {
						if now[i].Uses != ver.Uses {
							t.Errorf("%s while %s: version %d: %+v, want %+v", op, state, i+1, now[i].Uses, ver.Uses)
						}
					}
				}
			}
			forceState(t, v, s.key, Enabled)
		})
	}
}

// notUses lists the operations of usageTable that are no use of a version: countedAs has
// all others.
var notUses = []Operation{OpRotateKey, OpSetRotation, OpSetMinimumVersion, OpTrimKeyVersion, OpPublicKey,
	OpDescribeDataKey, OpSetDataKeyName, OpSetDataKeyDescription, OpEnableDataKey, OpDisableDataKey, OpScheduleDataKeyDeletion, OpCancelDataKeyDeletion, OpGetDataKeyCiphertext}

func TestEveryUseIsCounted(t *testing.T) {
	t.Parallel()
	for op := range usageTable {
		if _, counts := countedAs[op]; counts == slices.Contains(notUses, op) {
			t.Errorf("%s must be in exactly one of countedAs, with docs/formats.md, and notUses", op)
		}
	}
}

// usesCrashDir is set in the child process of TestUsesSurviveKill: the vault's directory.
const usesCrashDir = "STRONGROOM_USES_CRASH_DIR"

// usesCallers is the number of goroutines in that process.
const usesCallers = 64

// TestUsesSurviveKill repeatedly kills a process whose 64 goroutines use, rotate and
// describe CMKs while the counts are stored. The counts include every use whose result was
// released, at most one more for each goroutine, and are those of the audit log.
func TestUsesSurviveKill(t *testing.T) {
	if dir := os.Getenv(usesCrashDir); dir != "" {
		usesCrashChild(t, dir)
		return
	}
	t.Parallel()
	v, dir := newTestVault(t, testConfig())
	for i := range 3 {
		mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: fmt.Sprint("used-", i)})
	}
	closeChecked(t, v)
	acked := map[string]uint64{}
	const cycles = 8
	for i := range cycles {
		killUsing(t, dir, acked, time.Duration(50+100*i)*time.Millisecond)
		v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
		must(t, err)
		checkUses(t, v.As(DefaultOwner), acked, uint64(i+1)*usesCallers)
		closeChecked(t, v)
	}
	if len(acked) < 6 {
		t.Errorf("only %d kinds of use were acknowledged: %v", len(acked), acked)
	}
}

// killUsing runs the child process for a while after its first result, and adds the results
// that it received.
func killUsing(t *testing.T, dir string, acked map[string]uint64, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestUsesSurviveKill$", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), usesCrashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer cmd.Wait()
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	for lines, first := bufio.NewReader(out), true; ; first = false {
		line, err := lines.ReadString('\n')
		if err != nil {
			return // a line that the kill truncated was not acknowledged
		}
		if first {
			timer.Reset(after)
		}
		if use, ok := strings.CutPrefix(line, "use "); ok {
			acked[strings.TrimSpace(use)]++
		} else {
			t.Errorf("the child said %s", line)
		}
	}
}

// checkUses compares the counts with the results that were received, of which at most
// unacknowledged more are counted, and with the audit log.
func checkUses(t *testing.T, c Client, acked map[string]uint64, unacknowledged uint64) {
	t.Helper()
	logged := map[string]uint64{}
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Result: audit.OK}) {
		must(t, err)
		if r.Operation == string(OpEncrypt) || r.Operation == string(OpDecrypt) {
			logged[fmt.Sprint(r.Key, " ", r.KeyVersion, " ", r.Operation)]++
		}
	}
	var sum, received uint64
	for i := range 3 {
		_, versions := usesOfKey(t, c, fmt.Sprint("used-", i))
		for _, ver := range versions {
			for op, got := range map[Operation]uint64{OpEncrypt: ver.Uses.Protected, OpDecrypt: ver.Uses.Processed} {
				name := fmt.Sprint(ver.Key, " ", ver.Number, " ", op)
				if got != logged[name] || got < acked[name] || ver.Uses.Incomplete {
					t.Errorf("%s: %d counted, %d on record, %d results received, incomplete: %v", name, got, logged[name], acked[name], ver.Uses.Incomplete)
				}
				sum, received = sum+got, received+acked[name]
			}
		}
	}
	if sum > received+unacknowledged {
		t.Errorf("%d uses counted, %d results received", sum, received)
	}
	t.Logf("%d uses counted, %d results received", sum, received)
}

// usesCrashChild uses CMKs until it is killed, and prints each result that it received.
func usesCrashChild(t *testing.T, dir string) {
	ctx := context.Background()
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		fmt.Println("failed", err)
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	var all sync.WaitGroup
	try := func(err error) {
		if err != nil && !errors.Is(err, ErrThrottled) {
			fmt.Println("failed", err)
		}
	}
	for i := range usesCallers {
		key := fmt.Sprint("used-", i%3)
		all.Go(func() {
			for n := 0; ; n++ {
				ct, err := c.Encrypt(ctx, key, []byte("x"), nil)
				if try(err); err != nil {
					continue
				}
				of, _ := Inspect(ct)
				fmt.Println("use", of.Key, of.Version, OpEncrypt)
				if _, err = c.Decrypt(ctx, ct, nil); err == nil {
					fmt.Println("use", of.Key, of.Version, OpDecrypt)
				}
				try(err)
				switch {
				case n%50 == i && i < 3:
					_, err := c.RotateKey(ctx, key)
					try(err)
				case i == 3:
					try(v.uses.SaveAfter(ctx, 100))
				}
			}
		})
	}
	all.Wait()
}

// TestUsesOfManyVersions stores more counts than one commit takes.
func TestUsesOfManyVersions(t *testing.T) {
	t.Parallel()
	v, dir := newTestVault(t, testConfig())
	const n = usecount.ChunkRows*usestore.ChunksInBatch*2 + 1
	of := func(i int) (u usecount.Version) {
		binary.BigEndian.PutUint64(u.Key[:], uint64(i))
		u.Number = 1
		return u
	}
	for i := range n {
		for range i%3 + 1 {
			v.uses.Add(v.store.LogState().Size, of(i), usecount.Protect, time.Unix(int64(i), 0))
		}
	}
	before := v.store.LogState().Size
	must(t, v.uses.SaveAfter(t.Context(), 0))
	if after := v.store.LogState().Size; after != before || len(v.uses.Changed()) != 0 {
		t.Errorf("storing the counts wrote %d audit records, and left the chunks %v", after-before, v.uses.Changed())
	}
	closeChecked(t, v)
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	defer closeChecked(t, v)
	for i := range n {
		if got := v.uses.Of(of(i)); got.Protected != uint64(i%3+1) || !got.LastProtected.Equal(time.Unix(int64(i), 0)) {
			t.Fatalf("version %d: %+v", i, got)
		}
	}
}

// TestUsesAfterCut: the counts include the uses on records that a cut removed, also in the
// files of a vault that was not closed.
func TestUsesAfterCut(t *testing.T) {
	t.Parallel()
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	for range 10 {
		_, err := c.Encrypt(t.Context(), k.ID, nil, nil)
		must(t, err)
	}
	_, err := c.CutAudit(t.Context(), CutRequest{Before: v.store.LogState().Size, Export: io.Discard})
	must(t, err)
	_, err = c.Encrypt(t.Context(), k.ID, nil, nil)
	must(t, err)
	killed := filepath.Join(t.TempDir(), "killed")
	readDirectory(t, dir).write(t, killed)
	for _, closed := range []bool{false, true} {
		at := killed
		if closed {
			closeChecked(t, v)
			at = dir
		}
		again, err := Open(t.Context(), at, testConfig(), passphrase(t, "correct horse"))
		must(t, err)
		if got, _ := usesOfKey(t, again.As(DefaultOwner), k.ID); got.Protected != 11 || got.Incomplete {
			t.Errorf("closed: %v: %+v, want 11 uses", closed, got)
		}
		closeChecked(t, again)
	}
}

// TestUsesAfterRepair: after the loss of the engine the counts are those of the journal and
// of the records that are left, and are incomplete. A version that is made later has all
// its uses.
func TestUsesAfterRepair(t *testing.T) {
	t.Parallel()
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	encrypt := func(n int) {
		t.Helper()
		for range n {
			_, err := c.Encrypt(t.Context(), k.ID, nil, nil)
			must(t, err)
		}
	}
	encrypt(10)
	closeChecked(t, v)
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	c = v.As(DefaultOwner)
	encrypt(5)
	killed := filepath.Join(t.TempDir(), "killed")
	readDirectory(t, dir).write(t, killed)
	closeChecked(t, v)
	must(t, os.RemoveAll(filepath.Join(killed, "store")))
	report, err := Repair(t.Context(), killed, testConfig(), passphrase(t, "correct horse"))
	if err != nil || !report.FromJournal || report.LostFrom == report.LostTo {
		t.Fatalf("Repair: %+v, %v; want some records lost", report, err)
	}
	again, err := Open(t.Context(), killed, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	defer closeChecked(t, again)
	c = again.As(DefaultOwner)
	if got, _ := usesOfKey(t, c, k.ID); got.Protected != 10 || !got.Incomplete {
		t.Errorf("after Repair: %+v, want 10 uses that are incomplete", got)
	}
	_, err = c.RotateKey(t.Context(), k.ID)
	must(t, err)
	encrypt(2)
	if _, versions := usesOfKey(t, c, k.ID); versions[1].Uses.Protected != 2 || versions[1].Uses.Incomplete {
		t.Errorf("the version made after Repair: %+v, want 2 uses", versions[1].Uses)
	}
}

// TestUsesAfterRestore: the uses between a backup and the loss of the vault are not known.
func TestUsesAfterRestore(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, Config{})
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	_, err := c.Encrypt(t.Context(), k.ID, nil, nil)
	must(t, err)
	saved, _ := testBackup(t, c, "")
	r, err := Restore(t.Context(), filepath.Join(t.TempDir(), "restored"), Config{}, []io.Reader{bytes.NewReader(saved)},
		passphrase(t, "backup"), passphrase(t, "new machine"))
	must(t, err)
	defer closeChecked(t, r)
	if got, _ := usesOfKey(t, r.As(DefaultOwner), k.ID); got.Protected != 1 || !got.Incomplete {
		t.Errorf("after Restore: %+v, want 1 use, incomplete", got)
	}
}

// TestUsesOfOlderStores: a vault of a release that did not count begins to count, and says
// that the counts of older versions are incomplete.
func TestUsesOfOlderStores(t *testing.T) {
	t.Parallel()
	dir := olderStore(t, "badger-closed")
	for round := range 3 {
		v, err := Open(t.Context(), dir, Config{}, passphrase(t, "golden"))
		must(t, err)
		c := v.As(DefaultOwner)
		if round == 0 {
			mustKey(t, c, KeyOptions{Alias: "later"})
		}
		for _, alias := range []string{"key-0", "later"} {
			_, err = c.Encrypt(t.Context(), alias, nil, nil)
			must(t, err)
			if got, _ := usesOfKey(t, c, alias); got.Protected != uint64(round+1) || got.Incomplete != (alias == "key-0") {
				t.Errorf("round %d: %s: %+v", round, alias, got)
			}
		}
		if round == 2 { // nothing was counted that could prove that the version is unused
			_, err := c.RotateKey(t.Context(), "key-1")
			must(t, err)
			must(t, c.SetMinimumVersion(t.Context(), "key-1", 2))
			if err := c.TrimKeyVersion(t.Context(), "key-1", 1); !errors.Is(err, ErrVersionUsed) {
				t.Errorf("TrimKeyVersion of an older version: %v, want ErrVersionUsed", err)
			}
		}
		closeChecked(t, v)
	}
}

// TestUsesAreInOneBatch: a use stores no record beside its audit record, and needs no entry
// in the journal.
func TestUsesAreInOneBatch(t *testing.T) {
	t.Parallel()
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	must(t, err)
	paths := v.store.Paths("")
	_, err = c.Encrypt(t.Context(), k.ID, nil, nil)
	must(t, err)
	after, err := os.ReadFile(filepath.Join(dir, "journal"))
	must(t, err)
	if now := v.store.Paths(""); !bytes.Equal(after, journal) || len(now) != len(paths) {
		t.Errorf("Encrypt changed the journal: %v; records before %q, after %q", !bytes.Equal(after, journal), paths, now)
	}
	if id, ok := keyid.Parse(k.ID); !ok || v.uses.Of(usecount.Version{Key: id, Number: 1}).Protected != 1 {
		t.Error("Encrypt was not counted")
	}
}
