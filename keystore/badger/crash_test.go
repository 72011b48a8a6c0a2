package badger

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
)

// model is what a store must hold.
type model map[string]string

func (m model) apply(b keystore.Batch) {
	for _, p := range b.Put {
		m[string(p.Key)] = string(p.Value)
	}
	for _, k := range b.Delete {
		delete(m, string(k))
	}
}

// holding is what the store holds.
func holding(t *testing.T, e keystore.Engine) model {
	t.Helper()
	m := model{}
	var after []byte
	for {
		pairs, err := e.Scan(t.Context(), nil, after, 100)
		must(t, err)
		if len(pairs) == 0 {
			return m
		}
		for _, p := range pairs {
			m[string(p.Key)] = string(p.Value)
			after = p.Key
		}
	}
}

// reopened opens the store in dir and checks what it holds.
func reopened(t *testing.T, dir string, want model) {
	t.Helper()
	e, err := Open(dir)
	must(t, err)
	if got := holding(t, e); !maps.Equal(got, want) {
		t.Errorf("%d pairs, want %d", len(got), len(want))
	}
	must(t, e.Close())
}

// change is a batch over few keys, so that values are replaced and come back.
func change(size int) keystore.Batch {
	var b keystore.Batch
	first := rand.IntN(60)
	for i := range 3 {
		value := make([]byte, 1+rand.IntN(size))
		crand.Read(value)
		b.Put = append(b.Put, keystore.Pair{Key: []byte{byte(first + i)}, Value: value})
	}
	return keystore.Batch{Put: b.Put, Delete: [][]byte{{byte(first + 3)}, {byte(first + 4)}}}
}

// crash copies the store's files as they are, while e is open and no call runs. It
// copies again if Badger was at work on them meanwhile.
func crash(t *testing.T, from string) string {
	t.Helper()
	for {
		to := t.TempDir()
		before := snapshot(t, from)
		after := snapshot(t, from)
		if !maps.EqualFunc(before, after, bytes.Equal) {
			continue
		}
		for name, content := range before {
			must(t, os.WriteFile(filepath.Join(to, name), content, 0o600))
		}
		return to
	}
}

// snapshot reads the store's files; those that vanish meanwhile are left out.
func snapshot(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	files := map[string][]byte{}
	for _, e := range entries {
		if content, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil && e.Name() != "LOCK" {
			files[e.Name()] = content
		}
	}
	return files
}

// logs are the bytes of Badger's logs by name.
func logs(t *testing.T, dir string) map[string][]byte {
	files := snapshot(t, dir)
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return filepath.Ext(name) != ".mem" })
	return files
}

// The machine dies: of what Badger wrote to its logs since they were last made
// durable, any pages may be on disk and any not. Every batch is there, also where the
// directory's name reads as a pattern.
func TestPowerLoss(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v[1]")
	e := open(t, dir).(*engine)
	want, durable, epoch := model{}, map[string][]byte{}, e.log.last.epoch
	cuts, turns := 0, 0
	for n := 0; cuts < 12; n++ {
		b := change(16 << 10)
		must(t, e.Commit(t.Context(), b))
		want.apply(b)
		if epoch != e.log.last.epoch { // Badger was made durable, and got nothing since
			durable, epoch = logs(t, dir), e.log.last.epoch
			turns++
		}
		if n%31 == 30 {
			cut := crash(t, dir)
			tear(t, cut, durable)
			reopened(t, cut, want)
			reopened(t, cut, want)
			cuts++
		}
	}
	if turns < 2 {
		t.Errorf("the log turned %d times", turns)
	}
}

// tear gives each page of Badger's logs the bytes of now or the durable ones.
func tear(t *testing.T, dir string, durable map[string][]byte) {
	t.Helper()
	kept := rand.IntN(5) // of 4 pages
	for name, now := range logs(t, dir) {
		then, old := durable[name]
		size := len(now)
		if !old { // its length need not be durable either
			size = []int{0, 4096 * (1 + rand.IntN(64)), size}[rand.IntN(3)]
		}
		torn := make([]byte, size)
		copy(torn, then)
		for at := 0; at < size; at += 4096 {
			if rand.IntN(4) < kept {
				copy(torn[at:min(at+4096, size)], now[at:])
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, name), torn, 0o600))
	}
}

// Badger may have a newer batch and lack an older one. The log fills the hole.
func TestHole(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	must(t, e.Commit(t.Context(), put("lost", "v")))
	must(t, e.Commit(t.Context(), put("k", "v")))
	must(t, e.handAll(e.log.last))
	cut := crash(t, dir)
	db, err := openBadger(preset(cut, newWatch()))
	must(t, err)
	must(t, db.Update(func(txn *badger.Txn) error { return txn.Delete([]byte("lost")) }))
	must(t, db.Close())
	reopened(t, cut, model{"k": "v", "lost": "v"})
}

// A log that ends within its last record holds all before it.
func TestTornRedo(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	want := model{}
	for range 5 {
		b := change(20)
		must(t, e.Commit(t.Context(), b))
		want.apply(b)
	}
	begin := e.log.end
	must(t, e.Commit(t.Context(), put("k", "v")))
	cut := crash(t, dir)
	path := filepath.Join(cut, redoFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := begin; n < e.log.end; n++ {
		torn := slices.Concat(whole[:n], make([]byte, redoSize-n))
		if rand.IntN(2) == 0 {
			torn = torn[:n] // the file's end
		}
		must(t, os.WriteFile(path, torn, 0o600))
		reopened(t, cut, want)
	}
}

// Damage to the log while Badger has everything costs nothing, wherever it is: the
// log's beginning alone is not replayed, since it would put back older values.
func TestDamagedRedo(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	want := model{}
	for range 20 {
		b := change(20)
		must(t, e.Commit(t.Context(), b))
		want.apply(b)
	}
	must(t, e.handAll(e.log.last))
	cut := crash(t, dir)
	path := filepath.Join(cut, redoFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	for at := int64(0); at < e.log.end; at += 211 {
		changed := bytes.Clone(whole)
		changed[at] ^= 1 << rand.IntN(8)
		again := t.TempDir()
		must(t, os.CopyFS(again, os.DirFS(cut)))
		must(t, os.WriteFile(filepath.Join(again, redoFile), changed, 0o600))
		reopened(t, again, want)
	}
	must(t, os.Remove(path))
	reopened(t, cut, want)
}

// A replay that is itself cut short is made again, whole.
func TestReplayCutShort(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	want := model{}
	for range 200 {
		b := change(4 << 10)
		must(t, e.Commit(t.Context(), b))
		want.apply(b)
	}
	cut := crash(t, dir)
	for range 5 {
		replayPart(t, cut, e.log.last.seq)
	}
	reopened(t, cut, want)
}

// replayPart opens the store half-way: it dies within the replay, at a record
// before the last.
func replayPart(t *testing.T, dir string, last uint64) {
	t.Helper()
	log, err := openRedo(dir)
	must(t, err)
	db, err := openBadger(preset(dir, newWatch()))
	must(t, err)
	e := &engine{dir: dir, db: db, watch: newWatch(), log: log}
	stop := 1 + rand.Uint64N(last-1)
	must(t, log.each(func(at position, b keystore.Batch) error {
		if at.seq > stop {
			return nil
		}
		return e.redo(at, b)
	}))
	must(t, db.Close())
	must(t, log.close())
}

// A log that is not of Badger's moment is not replayed.
func TestForeignRedo(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	must(t, e.Commit(t.Context(), put("k", "older")))
	old := snapshot(t, dir)[redoFile]
	must(t, e.Close())
	for _, value := range []string{"old", "new"} {
		again, err := Open(dir)
		must(t, err)
		must(t, again.Commit(t.Context(), put("k", value)))
		must(t, again.Close())
	}
	must(t, os.WriteFile(filepath.Join(dir, redoFile), old, 0o600))
	reopened(t, dir, model{"k": "new"})
}

// The engine's own key is out of reach.
func TestPositionIsHidden(t *testing.T) {
	e := open(t, t.TempDir()).(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	for range 2 {
		if _, err := e.Get(t.Context(), []byte(positionKey)); err != keystore.ErrNotFound {
			t.Error(err)
		}
		if got := holding(t, e); !maps.Equal(got, model{"k": "v"}) {
			t.Errorf("%d pairs", len(got))
		}
		must(t, e.handAll(e.log.last))
	}
	if err := e.Commit(t.Context(), put(positionKey, "v")); err == nil {
		t.Error("a batch wrote the engine's own key")
	}
	if at, err := e.position(); err != nil || at != e.log.last {
		t.Errorf("%v, %v", at, err)
	}
}

// If the log cannot be written, nothing is: the batch is refused, so is every later
// one, and reading goes on.
func TestFailingRedo(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir)
	must(t, err)
	e := x.(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	must(t, e.log.close())
	for range 2 {
		if err := e.Commit(t.Context(), put("k", "w")); !errors.Is(err, keystore.ErrUnavailable) {
			t.Error(err)
		}
	}
	if v, err := e.Get(t.Context(), []byte("k")); err != nil || string(v) != "v" {
		t.Errorf("%q, %v", v, err)
	}
	if err := e.Close(); !errors.Is(err, keystore.ErrUnavailable) {
		t.Error(err)
	}
	reopened(t, dir, model{"k": "v"})
}

// reseal gives a record its right length and checksum.
func reseal(record []byte) {
	binary.BigEndian.PutUint32(record, uint32(len(record)))
	binary.BigEndian.PutUint32(record[4:], checksum(record))
}
