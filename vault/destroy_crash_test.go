package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/internal/clock"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
)

// destroyCrashDir is set in the child process of TestDestructionKilled: the vault's directory.
const destroyCrashDir = "STRONGROOM_DESTROY_CRASH_DIR"

// dueDataKeys is the number of named data keys of the destroyed CMK. They are removed in three
// commits.
const dueDataKeys = 3 * maxKeys

// moments are when a process is killed, as seen from a commit.
var moments = []string{"before", "during", "after"}

// TestDestructionKilled kills a process at each commit of the destruction of a CMK with hundreds
// of named data keys, and kills the next one while it resumes. The destruction is completed
// then, no data key is released, and each removal is on record once.
func TestDestructionKilled(t *testing.T) {
	if dir := os.Getenv(destroyCrashDir); dir != "" {
		destroyCrashChild(t, dir, os.Getenv(destroyCrashDir+"_ID"))
		return
	}
	t.Parallel()
	x := newDueVault(t)
	for round := range max(1, heavy.Count(t, crashCycles, 100)/100) {
		for n, ended := 1, false; !ended; n++ {
			dir := filepath.Join(t.TempDir(), "vault")
			must(t, os.CopyFS(dir, os.DirFS(x.dir)))
			ended = x.kill(t, dir, n, moments[(n+round)%len(moments)])
			again := x.kill(t, dir, 1+(n+round)%4, moments[n/2%len(moments)])
			x.confirm(t, dir, ended || again)
			if ended && n < 8 {
				t.Errorf("the destruction took only %d commits, want 8 or more", n-1)
			}
			if ended {
				t.Logf("the destruction takes %d commits", n-1)
			}
		}
	}
}

// killedEngine kills its process at one of its commits.
type killedEngine struct {
	keystore.Engine
	commits atomic.Int64
	at      int64 // counted from 1; 0 means never
	moment  string
}

func (e *killedEngine) Commit(ctx context.Context, b keystore.Batch) error {
	moment := ""
	if e.commits.Add(1) == e.at {
		moment = e.moment
	}
	switch moment {
	case "before":
		killSelf()
	case "during":
		go killSelf()
	}
	err := e.Engine.Commit(ctx, b)
	if moment == "after" {
		killSelf()
	}
	return err
}

// killSelf kills the process, and does not return.
func killSelf() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// dueVault is a closed vault with a CMK whose destruction is due.
type dueVault struct {
	dir, key  string
	dataKeys  []string // their ids
	ct        []byte   // of one of them
	kept      string   // a data key of another CMK
	keptBytes []byte
}

// dueClock shows the time at which the destruction is due.
func dueClock() *clock.Fake {
	return clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Add(MinDeletionDays * day))
}

// killConfig is the configuration of a vault whose process is killed at a commit.
func killConfig(now *clock.Fake, at int64, moment string) Config {
	cfg := testConfig()
	cfg.Clock = now
	cfg.openEngine = func(dir string) (keystore.Engine, error) {
		mac := func(parts ...[]byte) [32]byte { return suite.AES.MAC([]byte("the engine's key"), parts...) }
		e, err := badger.OpenEngine(keystore.EngineConfig{Dir: dir, MAC: mac})
		return &killedEngine{Engine: e, at: at, moment: moment}, err
	}
	return cfg
}

func newDueVault(t *testing.T) *dueVault {
	t.Helper()
	now := dueClock()
	now.Set(now.Now().Add(-MinDeletionDays * day))
	cfg := killConfig(now, 0, "")
	v, dir := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	x := &dueVault{dir: dir, key: mustKey(t, c, KeyOptions{Alias: "due"}).ID, dataKeys: make([]string, dueDataKeys)}
	x.kept = mustDataKey(t, c, mustKey(t, c, KeyOptions{}).ID, "kept").ID
	x.keptBytes = openedBytes(t, c, x.kept)
	var made sync.WaitGroup
	for n := range x.dataKeys {
		made.Go(func() {
			k, err := c.CreateDataKey(ctx, x.key, 32, DataKeyOptions{Name: fmt.Sprint("due", n)})
			if x.dataKeys[n] = k.ID; err != nil {
				t.Error(err)
			}
		})
	}
	made.Wait()
	var err error
	if x.ct, err = c.DataKeyCiphertext(ctx, x.dataKeys[0]); err != nil {
		t.Fatal(err)
	}
	mustSchedule(t, c, x.key, MinDeletionDays)
	v.tasks.Schedule(deletionPath(x.key), time.Time{}) // the children run the task
	now.Advance(MinDeletionDays * day)
	must(t, c.ConfirmTime(ctx))
	closeChecked(t, v)
	return x
}

// destroyCrashChild opens the vault, which destroys the CMK, and is killed at a commit. If it is
// not, it prints that the CMK is Destroyed.
func destroyCrashChild(t *testing.T, dir, key string) {
	var at int64
	var moment string
	if _, err := fmt.Sscan(os.Getenv(destroyCrashDir+"_AT"), &at, &moment); err != nil {
		t.Fatal(err)
	}
	v, err := Open(t.Context(), dir, killConfig(dueClock(), at, moment), passphrase(t, "correct horse"))
	must(t, err)
	runDeletion(t, v.As(DefaultOwner), key, Destroyed)
	fmt.Println("destroyed")
	killSelf()
}

// kill runs a child process that is killed at its n-th commit. It reports whether the process
// acknowledged the destruction before that.
func (x *dueVault) kill(t *testing.T, dir string, n int, moment string) (acknowledged bool) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestDestructionKilled$", "-test.v=false", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), destroyCrashDir+"="+dir, destroyCrashDir+"_ID="+x.key, destroyCrashDir+"_AT="+fmt.Sprint(n, " ", moment))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if acknowledged = string(out) == "destroyed\n"; !errors.As(err, &exit) || len(out) > 0 && !acknowledged {
		t.Fatalf("the child was not killed: %v, %s", err, out)
	}
	return acknowledged
}

// confirm opens the vault after the kills. Without further kills the destruction is completed.
func (x *dueVault) confirm(t *testing.T, dir string, acknowledged bool) {
	t.Helper()
	v, err := Open(t.Context(), dir, killConfig(dueClock(), 0, ""), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatalf("open after a kill: %v", err)
	}
	defer closeChecked(t, v)
	c, ctx := v.As(DefaultOwner), t.Context()
	if k, err := c.DescribeKey(ctx, x.key); err != nil || acknowledged && k.State != Destroyed {
		t.Errorf("the CMK is %s, %v, although its destruction was acknowledged", k.State, err)
	}
	x.checkNoneReleased(t, c, acknowledged)
	runDeletion(t, c, x.key, Destroyed)
	x.checkNoneReleased(t, c, true)
	if _, err := c.OpenDataKey(ctx, x.ct, nil); !errors.Is(err, ErrKeyState) {
		t.Errorf("OpenDataKey of a former ciphertext: %v, want ErrKeyState", err)
	}
	checkDestroyRecords(t, c, x.key)
	removed := map[string]int{}
	for _, r := range recordsOf(t, c, OpDestroyDataKey) {
		removed[r.Detail["dataKey"]]++
	}
	for _, id := range x.dataKeys {
		if removed[id] != 1 {
			t.Errorf("the removal of data key %s is %d times on record, want once", id, removed[id])
		}
	}
	left := slices.Concat(v.store.Paths("datakey"), v.store.Paths("material/"), v.store.Paths(deletions), v.store.Paths(intents))
	if len(left) != 5 { // the other data key's record, name, place, number and material
		t.Errorf("the records %q are left", left)
	}
	if got := openedBytes(t, c, x.kept); !slices.Equal(got, x.keptBytes) {
		t.Error("the data key of another CMK has changed")
	}
	mustDataKey(t, c, describeOne(t, c, x.kept).Key, "due0") // the name is free
}

// checkNoneReleased checks that no data key of the CMK is released; gone means that all are
// removed.
func (x *dueVault) checkNoneReleased(t *testing.T, c Client, gone bool) {
	t.Helper()
	for _, id := range x.dataKeys {
		k, err := c.OpenNamedDataKey(t.Context(), id)
		k.Destroy()
		if !errors.Is(err, ErrNotFound) && (gone || !errors.Is(err, ErrKeyState)) {
			t.Fatalf("OpenNamedDataKey of a data key of the CMK, removed %v: %v", gone, err)
		}
	}
}
