package badger

import (
	"bytes"
	crand "crypto/rand"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

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
		if content, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
			files[e.Name()] = content
		}
	}
	return files
}

// A kill at any moment loses no batch: whatever the engine is at, every file is such
// that the next Open finds all. Also where the directory's name reads as a pattern.
func TestCopiedWhileOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "v[1]")
	e := open(t, dir).(*engine)
	want, turns, epoch := model{}, 0, e.log.head.epoch
	for n := range 2500 {
		b := change(16 << 10)
		must(t, e.Commit(t.Context(), b))
		want.apply(b)
		if epoch != e.log.head.epoch {
			turns, epoch = turns+1, e.log.head.epoch
		}
		if n%400 == 399 {
			cut := crash(t, dir)
			reopened(t, cut, want)
			reopened(t, cut, want)
		}
	}
	if turns < 2 {
		t.Errorf("the log turned %d times, want 2 or more", turns)
	}
}

// A log that ends within its last record holds all before it.
func TestTornRedo(t *testing.T) {
	t.Parallel()
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
	path := filepath.Join(cut, segmentNames[0])
	files := snapshot(t, cut)
	whole := files[segmentNames[0]]
	for n := begin; n < e.log.end; n++ {
		torn := slices.Concat(whole[:n], make([]byte, segmentSize-n))
		if rand.IntN(2) == 0 {
			torn = torn[:n] // the file's end
		}
		must(t, os.WriteFile(path, torn, 0o600))
		must(t, os.WriteFile(filepath.Join(cut, epochFile), files[epochFile], 0o600))
		reopened(t, cut, want)
	}
}

// While no table can be made, batches are found in either segment; when both are full
// Commit fails, and it goes on once a table can be made again.
func TestFailingFlush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	want := model{}
	must(t, os.Mkdir(filepath.Join(dir, manifestNew), 0o700)) // the list of tables cannot be written
	failed := 0
	for failed < 3 {
		b := change(16 << 10)
		if err := e.Commit(t.Context(), b); err == nil {
			want.apply(b)
		} else if failed++; errors.Is(err, keystore.ErrUnavailable) {
			t.Fatalf("Commit while no table can be made: %v, want an error of this batch alone", err)
		}
	}
	if got := holding(t, e); !maps.Equal(got, want) {
		t.Errorf("%d pairs, want %d", len(got), len(want))
	}
	reopened(t, crash(t, dir), want)
	must(t, os.Remove(filepath.Join(dir, manifestNew)))
	for range 300 {
		b := change(16 << 10)
		must(t, e.Commit(t.Context(), b))
		want.apply(b)
	}
	reopened(t, crash(t, dir), want)
	must(t, e.Close())
	reopened(t, dir, want)
}

// What the epoch or the tables know and the log lacks is ErrRolledBack, after a kill and
// after a clean Close: a log that is missing, of another epoch, or that ends too early.
func TestOtherRedo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, err := Open(dir)
	must(t, err)
	e := x.(*engine)
	must(t, e.Commit(t.Context(), put("k", "first")))
	first := snapshot(t, dir)[segmentNames[0]]
	must(t, e.turn()) // a table has it
	must(t, e.flushed())
	must(t, e.Commit(t.Context(), put("k", "second")))
	second := e.log.end
	must(t, e.Commit(t.Context(), put("k", "third")))
	killed := crash(t, dir)
	must(t, e.Close())
	for state, of := range map[string]string{"killed": killed, "closed": dir} {
		files := snapshot(t, of)
		newest := files[segmentNames[1]]
		for name, change := range map[string]func(map[string][]byte){
			"missing":        func(f map[string][]byte) { delete(f, segmentNames[1]) },
			"zeros":          func(f map[string][]byte) { f[segmentNames[1]] = make([]byte, segmentSize) },
			"of another run": func(f map[string][]byte) { f[segmentNames[1]] = first },
			"both missing":   func(f map[string][]byte) { delete(f, segmentNames[0]); delete(f, segmentNames[1]) },
			"no epoch":       func(f map[string][]byte) { delete(f, epochFile) },
			"no epoch or log": func(f map[string][]byte) {
				delete(f, epochFile)
				delete(f, segmentNames[0])
				delete(f, segmentNames[1])
			},
			"cut when closed": func(f map[string][]byte) {
				f[segmentNames[1]] = slices.Concat(newest[:second], make([]byte, segmentSize-second))
			},
		} {
			changed := maps.Clone(files)
			change(changed)
			_, err := Open(written(t, changed))
			if state == "killed" && name == "cut when closed" {
				if err != nil { // the tip finds it
					t.Errorf("%s, %s: %v", state, name, err)
				}
				continue
			}
			if !errors.Is(err, keystore.ErrRolledBack) {
				t.Errorf("%s, the log %s: %v, want ErrRolledBack", state, name, err)
			}
		}
	}
}

// written makes a directory of the files.
func written(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

// A flipped bit in what the log holds is found after a clean Close, wherever it is; after
// a kill what follows it may be a torn write, which the keystore's tip tells.
func TestDamagedRedo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, err := Open(dir)
	must(t, err)
	e := x.(*engine)
	for range 20 {
		must(t, e.Commit(t.Context(), change(20)))
	}
	end := e.log.end
	must(t, e.Close())
	files := snapshot(t, dir)
	for at := int64(0); at < end; at += 37 {
		if at >= segmentHeader && at < segmentStart {
			continue // not used
		}
		changed := maps.Clone(files)
		changed[segmentNames[0]] = bytes.Clone(files[segmentNames[0]])
		changed[segmentNames[0]][at] ^= 1 << rand.IntN(8)
		if _, err := Open(written(t, changed)); !errors.Is(err, keystore.ErrRolledBack) {
			t.Errorf("byte %d changed: %v, want ErrRolledBack", at, err)
		}
	}
}

// The engine's own key is out of reach.
func TestPositionIsHidden(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir()).(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	for range 2 {
		if _, err := e.Get(t.Context(), []byte(positionKey)); err != keystore.ErrNotFound {
			t.Errorf("Get: %v, want ErrNotFound", err)
		}
		if got := holding(t, e); !maps.Equal(got, model{"k": "v"}) {
			t.Errorf("Scan returned %d pairs, want 1", len(got))
		}
		must(t, e.turn())
		must(t, e.flushed())
	}
	if err := e.Commit(t.Context(), put(positionKey, "v")); err == nil {
		t.Error("a batch wrote the engine's own key")
	}
}

// If no segment of the log can be written, nothing is: the batch fails, so does every
// later one, and reading goes on.
func TestFailingRedo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, err := Open(dir)
	must(t, err)
	e := x.(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	must(t, e.log.file.Close())
	must(t, e.epoch.file.Close())
	for range 2 {
		if err := e.Commit(t.Context(), put("k", "w")); !errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("Commit without a log: %v, want ErrUnavailable", err)
		}
	}
	if v, err := e.Get(t.Context(), []byte("k")); err != nil || string(v) != "v" {
		t.Errorf("Get: %q, %v", v, err)
	}
	if err := e.Close(); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("Close: %v, want ErrUnavailable", err)
	}
}

// A record that could not be written is void once the other segment has begun: the batch
// failed, and later ones do not.
func TestRedoGoesOnInTheOtherSegment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, err := Open(dir)
	must(t, err)
	e := x.(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	must(t, e.log.uncached.close())
	e.log.uncached = nil
	record := bytes.Clone(e.log.encode(put("k", "void"))) // it did reach the disk
	_, err = e.log.file.WriteAt(record, e.log.end)
	must(t, err)
	must(t, e.log.file.Close())
	if err := e.Commit(t.Context(), put("k", "void")); err == nil || errors.Is(err, keystore.ErrUnavailable) {
		t.Fatalf("Commit without a segment: %v, want an error of this batch alone", err)
	}
	must(t, e.Commit(t.Context(), put("l", "v")))
	reopened(t, crash(t, dir), model{"k": "v", "l": "v"})
}
