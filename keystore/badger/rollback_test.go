package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
)

// What comes of files that were put back from an earlier moment.
const (
	found       = "found"        // Open refuses
	nothingLost = "nothing lost" // Open finds the newest state
	notFound    = "**not found**"
)

// parts are the files of a vault's directory that somebody may put back by themselves.
var parts = []string{"store", "redo", "tip", "journal", "root"}

// partOf is the part that a file belongs to.
func partOf(name string) string {
	switch base := filepath.Base(name); {
	case strings.HasPrefix(base, "redo"):
		return "redo"
	case strings.HasPrefix(name, "store/"):
		return "store"
	case strings.HasPrefix(base, "root"):
		return "root"
	default:
		return base
	}
}

// history is a vault at an earlier moment and at the newest one.
type history struct {
	name            string
	earlier, newest map[string][]byte
}

// rollbackConfig is a store with the engine that vaults have.
func rollbackConfig(dir string) keystore.Config {
	cfg := storeConfig(dir)
	cfg.OpenKeyedEngine = OpenEngine
	return cfg
}

// tree reads all files below dir.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, sub := range []string{"", "store"} {
		for name, content := range snapshot(t, filepath.Join(dir, sub)) {
			files[filepath.ToSlash(filepath.Join(sub, name))] = content
		}
	}
	return files
}

// plant makes a directory of the files.
func plant(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "store"), 0o700))
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

// count puts the number of the commit into the store.
func count(t *testing.T, s *keystore.Store, n, size int) {
	t.Helper()
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		tx.Put("counter", fmt.Append(nil, n))
		if size > 0 {
			tx.Put(fmt.Sprint("bulk/", n%20), make([]byte, size))
		}
		tx.Log(func(uint64) []byte { return fmt.Append(nil, n) })
		return nil
	}))
}

const lastCount = 12

// histories are the columns of the table in SECURITY.md. Their time stands still while the store
// works, so that a slow disk adds no sync of the tip, which is due a second after a write.
func histories(t *testing.T, size int) (out []history) {
	for _, end := range []string{"closed", "killed"} {
		for _, root := range []string{"", ", root replaced since"} {
			h := history{name: end + root}
			synctest.Test(t, func(t *testing.T) { h.run(t, size, end == "closed", root != "") })
			out = append(out, h)
		}
	}
	return out
}

// run makes the history's two moments, after a clean Close or of a store that is killed.
func (h *history) run(t *testing.T, size int, closed, replaced bool) {
	cfg := rollbackConfig(t.TempDir())
	s := keys(t, cfg, 3, 10)
	count(t, s, 1, size)
	must(t, s.Close())
	if closed {
		h.earlier = tree(t, cfg.Dir)
	}
	s, err := openStore(cfg)
	must(t, err)
	for n := 2; n <= lastCount; n++ {
		count(t, s, n, size)
		for range min(size, 15) { // so many that the log turns
			count(t, s, n, size)
		}
		if n == 6 && !closed {
			h.earlier = tree(t, cfg.Dir)
		}
		if n == 8 && replaced {
			must(t, s.ReplaceProtectors(t.Context(), []keystore.Protector{{ID: "p"}}, nil))
		}
	}
	if !closed {
		if size > 0 { // the log has turned, and the table is made in the background
			poll.Until(t, "a table is there", func() bool {
				tables, err := filepath.Glob(filepath.Join(cfg.Dir, "store", "*.sst"))
				must(t, err)
				return len(tables) > 0
			})
		}
		h.newest = tree(t, cfg.Dir)
	}
	must(t, s.Close())
	if closed {
		h.newest = tree(t, cfg.Dir)
	}
}

// outcome opens the store and says what came of it.
func outcome(t *testing.T, files map[string][]byte) string {
	t.Helper()
	s, err := openStore(rollbackConfig(plant(t, files)))
	if errors.Is(err, keystore.ErrRolledBack) || errors.Is(err, keystore.ErrCorrupt) {
		return found
	}
	must(t, err)
	defer func() { must(t, s.Close()) }()
	must(t, s.Check(t.Context()))
	rec, err := s.Get(t.Context(), "counter")
	must(t, err)
	if string(rec.Value) == fmt.Sprint(lastCount) {
		return nothingLost
	}
	return notFound
}

// putBack is the newest files with the parts of the earlier moment.
func putBack(h history, back []string) map[string][]byte {
	files := maps.Clone(h.newest)
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return slices.Contains(back, partOf(name)) })
	for name, content := range h.earlier {
		if slices.Contains(back, partOf(name)) {
			files[name] = content
		}
	}
	return files
}

// subsets are the parts put back together, fewest first.
func subsets() (out [][]string) {
	for bits := 1; bits < 1<<len(parts); bits++ {
		var s []string
		for i, part := range parts {
			if bits>>i&1 == 1 {
				s = append(s, part)
			}
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b []string) int { return len(a) - len(b) })
	return out
}

// TestRollbackTable puts every set of files back from an earlier moment, after a clean
// Close and after a kill. SECURITY.md has the table that comes out.
func TestRollbackTable(t *testing.T) {
	all := histories(t, 0)
	lines := []string{"| put back | ", "|---|"}
	for _, h := range all {
		lines[0] += h.name + " | "
		lines[1] += "---|"
	}
	for _, back := range subsets() {
		line := "| " + strings.Join(back, ", ") + " | "
		for _, h := range all {
			line += outcome(t, putBack(h, back)) + " | "
		}
		lines = append(lines, line)
	}
	documented(t, lines)
}

// documented checks that SECURITY.md has these lines, one after the other.
func documented(t *testing.T, lines []string) {
	t.Helper()
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	if want := strings.Join(lines, "\n") + "\n"; !strings.Contains(securityText(t), want) {
		t.Errorf("SECURITY.md does not have this table, which is how it is:\n%s", want)
	}
}

func securityText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "SECURITY.md"))
	must(t, err)
	return string(text)
}

// promised is what the table in SECURITY.md says of a set of files and a history.
func promised(t *testing.T, back []string, history string) string {
	t.Helper()
	var columns []string
	for line := range strings.Lines(securityText(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch cells[0] {
		case "put back":
			columns = cells
		case strings.Join(back, ", "):
			if i := slices.Index(columns, history); i > 0 {
				return cells[i]
			}
		}
	}
	t.Fatalf("SECURITY.md says nothing of %v, %s", back, history)
	return ""
}

// TestRollbackWithTables is the same where the log has turned in between and tables were
// made: nothing is lost that the table does not say.
func TestRollbackWithTables(t *testing.T) {
	for _, h := range histories(t, 30000) {
		tables := 0
		for name := range h.newest {
			if filepath.Ext(name) == ".sst" {
				tables++
			}
		}
		if tables == 0 {
			t.Errorf("%s: no table was made", h.name)
		}
		for _, back := range subsets() {
			if got, want := outcome(t, putBack(h, back)), promised(t, back, h.name); got == notFound && want != notFound {
				t.Errorf("%s, %v put back: %s, SECURITY.md says %s", h.name, back, got, want)
			}
		}
	}
}

// TestCutLog cuts the redo log after each batch of the last run, with the tip as it is,
// as it was at that moment, and as it was before it was made durable by then, and with
// the journal as it is and as it was at that moment. SECURITY.md has the table that comes
// out.
func TestCutLog(t *testing.T) {
	table := map[string]map[string]string{}
	for _, end := range []string{"closed", "killed"} {
		moments, newest := moments(t, end == "closed")
		unsynced := moments[0]["tip"]
		for i, m := range moments[:len(moments)-1] {
			for tip, content := range map[string][]byte{
				"as it is": newest["tip"], "of that moment": m["tip"], "from before it was synced last": unsynced,
			} {
				if i < 4 && tip == "from before it was synced last" {
					continue // it was not synced by then
				}
				files := maps.Clone(newest)
				end2 := recordsEnd(m["store/redo"])
				files["store/redo"] = append(slices.Clone(newest["store/redo"][:end2]), make([]byte, segmentSize-end2)...)
				files["tip"] = content
				for _, journal := range []map[string][]byte{newest, m} {
					files["journal"] = journal["journal"]
					row := tip + ", as it is"
					if !bytes.Equal(files["journal"], newest["journal"]) {
						row = tip + ", of that moment"
					}
					got := outcome(t, files)
					if was := table[row][end]; was != "" && was != got {
						t.Errorf("%s, cut after batch %d, tip and journal %s: %s, and %s after other batches", end, i, row, got, was)
					}
					if table[row] == nil {
						table[row] = map[string]string{}
					}
					table[row][end] = got
				}
			}
		}
	}
	lines := []string{"| redo log cut after any batch, tip | journal | closed | killed |", "|---|---|---|---|"}
	for _, tip := range []string{"as it is", "of that moment", "from before it was synced last"} {
		for _, journal := range []string{"as it is", "of that moment"} {
			row := table[tip+", "+journal]
			lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |", tip, journal, row["closed"], row["killed"]))
		}
	}
	documented(t, lines)
}

// checkpointing is an Appender that makes a checkpoint of one size, with which the store makes
// the tip durable.
type checkpointing struct {
	counting
	size uint64
}

func (c checkpointing) Extend(from keystore.LogState, leaves [][]byte) (keystore.Extension, error) {
	ext, err := c.counting.Extend(from, leaves)
	if ext.State.Size == c.size {
		ext.State.Checkpoint = c.size
	}
	return ext, err
}

// moments are all files after each batch of a run, and at its end. The tip is made
// durable with the third, and by no timer.
func moments(t *testing.T, closed bool) (at []map[string][]byte, newest map[string][]byte) {
	synctest.Test(t, func(t *testing.T) { at, newest = cutRun(t, closed) })
	return at, newest
}

func cutRun(t *testing.T, closed bool) (at []map[string][]byte, newest map[string][]byte) {
	cfg := rollbackConfig(t.TempDir())
	s := keys(t, cfg, 3, 10)
	cfg.Log = checkpointing{size: s.LogState().Size + 3}
	must(t, s.Close())
	s, err := openStore(cfg)
	must(t, err)
	for n := 1; n <= lastCount; n++ {
		count(t, s, n, 0)
		at = append(at, tree(t, cfg.Dir))
	}
	newest = at[len(at)-1]
	must(t, s.Close())
	if closed {
		newest = tree(t, cfg.Dir)
	}
	return at, newest
}

// recordsEnd is where the records of a segment end that is followed by zeros.
func recordsEnd(segment []byte) int {
	end := segmentStart
	for end+4 <= len(segment) {
		n := int(binary.BigEndian.Uint32(segment[end:]))
		if n == 0 {
			break
		}
		end += n
	}
	return end
}
