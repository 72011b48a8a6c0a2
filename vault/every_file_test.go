package vault

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/testing/heavy"
)

// damageTrials, set by a person, is the number of flipped bits, and makes the test damage
// every pair of files; the default is 100 bits and a sample of the pairs.
const damageTrials = "STRONGROOM_FLIPS"

// namedErrors are the errors by which Open tells that the directory is damaged.
var namedErrors = []struct {
	name string
	err  error
}{
	{"`ErrCorrupt`", ErrCorrupt}, {"`ErrRolledBack`", ErrRolledBack}, {"`ErrNoVault`", ErrNoVault}, {"`ErrUnlock`", ErrUnlock},
	{"`ErrUnavailable`", ErrUnavailable},
}

// directory is the content of a vault's directory, by path.
type directory map[string][]byte

func readDirectory(t *testing.T, dir string) directory {
	t.Helper()
	d := directory{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			d[filepath.ToSlash(name)], err = os.ReadFile(path)
		}
		return err
	}))
	return d
}

func (d directory) write(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "store"), 0o700))
	for name, content := range d {
		must(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), content, 0o600))
	}
}

// usedVault is a vault that was used. Its directory is damaged, again and again.
type usedVault struct {
	state      string // how the vault ended
	now, older directory
	lines      []string
}

// usedVaults makes a vault with tables, and returns what a clean Close and what a kill
// leaves of it.
func usedVaults(t *testing.T) []usedVault {
	t.Helper()
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	mustKey(t, c, KeyOptions{Alias: "busy"})
	var lines []string
	s := newSession(t, v, dir, func(line string) { lines = append(lines, line) })
	do := func(names ...string) {
		for _, name := range names {
			must(t, sessionActs[name](s))
		}
	}
	do("create", "encrypt", "tag", "protectors")
	older := readDirectory(t, dir)
	do("disable", "rotate", "protectors")
	for {
		do("tag")
		if found, _ := filepath.Glob(filepath.Join(dir, "store", "*.sst")); len(found) > 0 {
			break
		}
	}
	do("encrypt", "create", "protectors", "tag")
	killed := readDirectory(t, dir)
	must(t, v.Close())
	closed := readDirectory(t, dir)
	return []usedVault{{"closed", closed, older, lines}, {"killed", killed, older, lines}}
}

// A damage changes one file of a directory.
type damage struct {
	file, kind string
	change     func(d, older directory)
}

// damages lists a way to damage each file in each kind. What a flipped bit does depends on
// where it is; flips are random.
func (x usedVault) damages() (all []damage) {
	for _, file := range slices.Sorted(maps.Keys(x.now)) {
		if file == "lock" { // it is empty
			continue
		}
		all = append(all,
			damage{file, "deleted", func(d, _ directory) { delete(d, file) }},
			damage{file, "empty", func(d, _ directory) { d[file] = nil }},
			damage{file, "cut in half", func(d, _ directory) { d[file] = d[file][:len(d[file])/2] }},
			damage{file, "flipped", func(d, _ directory) {
				if len(d[file]) > 0 {
					d[file] = bytes.Clone(d[file])
					d[file][rand.IntN(len(d[file]))] ^= 1 << rand.IntN(8)
				}
			}})
		if old, ok := x.older[file]; ok && !bytes.Equal(old, x.now[file]) {
			all = append(all, damage{file, "older", func(d, older directory) { d[file] = older[file] }})
		}
	}
	return all
}

// TestEveryFile deletes, cuts, flips and replaces by an older one every file of a vault's
// directory, alone and in pairs: Open or Check returns a named error, or the vault is whole.
func TestEveryFile(t *testing.T) {
	t.Parallel()
	flips, pairs := heavy.Count(t, damageTrials, 50), 30
	if os.Getenv(damageTrials) != "" {
		pairs = 1 << 30
	}
	outcomes := map[string]int{}
	for _, x := range usedVaults(t) {
		all := x.damages()
		for _, one := range all {
			outcomes[x.try(t, one)]++
		}
		var two [][2]damage
		for i, one := range all {
			for _, other := range all[i+1:] {
				// Two older files may be of one moment: TestRollbackTable has what is found
				// of that.
				if one.file != other.file && (one.kind != "older" || other.kind != "older") {
					two = append(two, [2]damage{one, other})
				}
			}
		}
		rand.Shuffle(len(two), func(i, j int) { two[i], two[j] = two[j], two[i] })
		for _, pair := range two[:min(pairs, len(two))] {
			outcomes[x.try(t, pair[0], pair[1])]++
		}
		flipped := slices.DeleteFunc(slices.Clone(all), func(d damage) bool { return d.kind != "flipped" })
		for range flips / 2 {
			outcomes[x.try(t, flipped[rand.IntN(len(flipped))])]++
		}
	}
	t.Log(outcomes)
}

// try damages a copy of the directory and opens it. It returns the outcome.
func (x usedVault) try(t *testing.T, damages ...damage) (outcome string) {
	t.Helper()
	when := x.state
	d := maps.Clone(x.now)
	for _, damage := range damages {
		when += fmt.Sprintf(", %s %s", damage.file, damage.kind)
		damage.change(d, x.older)
	}
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	d.write(t, dir)
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		return x.repair(t, dir, when, err, repairable(damages))
	}
	outcome = "whole"
	if err := v.As(DefaultOwner).Check(t.Context()); errors.Is(err, ErrCorrupt) {
		outcome = "found by Check" // which writes such a file again, and finds nothing any more
	}
	checkAcknowledged(t, v, when, x.lines)
	if err := v.Close(); err != nil {
		t.Errorf("%s: Close: %v", when, err)
	}
	return outcome
}

// repairable reports whether Repair must make a vault with these damages whole: not if both
// root files are damaged, or both files that have the newest records.
func repairable(damages []damage) bool {
	damaged := func(prefix string) bool {
		return slices.ContainsFunc(damages, func(d damage) bool { return strings.HasPrefix(d.file, prefix) })
	}
	roots := 0
	for _, d := range damages {
		if strings.HasPrefix(d.file, "root") {
			roots++
		}
	}
	return roots < 2 && !(damaged("journal") && damaged("store/redo"))
}

// repair expects that a vault which did not open is made whole by Repair, always so if
// always is set. It returns the outcome.
func (x usedVault) repair(t *testing.T, dir, when string, fault error, always bool) (outcome string) {
	t.Helper()
	for _, named := range namedErrors {
		if errors.Is(fault, named.err) {
			outcome = cmp.Or(outcome, named.name)
		}
	}
	if outcome == "" {
		t.Errorf("%s: Open: %v, want a named error", when, fault)
		return "unnamed"
	}
	report, err := Repair(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		if always {
			t.Errorf("%s: Open: %v; Repair: %v", when, fault, err)
		}
		return outcome + ", not repaired"
	}
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Errorf("%s: Open after Repair: %v", when, err)
		return "unnamed"
	}
	checkResults(t, v, when+", repaired", x.lines)
	if report.LostFrom == report.LostTo {
		checkRecorded(t, v.As(DefaultOwner), when+", repaired", x.lines)
	}
	if err := v.Close(); err != nil {
		t.Errorf("%s: Close after Repair: %v", when, err)
	}
	if report.LostFrom != report.LostTo {
		return outcome + ", repaired but for audit records"
	}
	return outcome + ", repaired"
}

// TestDamageTable compares the table of damaged files in docs/directory.md with what happens
// to a vault that was closed.
func TestDamageTable(t *testing.T) {
	t.Parallel()
	x := usedVaults(t)[0]
	kinds := []string{"deleted", "empty", "older"}
	cells := map[string]map[string]string{}
	for _, d := range x.damages() {
		name := d.file
		if filepath.Ext(name) == ".sst" {
			name = "store/*.sst"
		}
		if cells[name] == nil {
			cells[name] = map[string]string{}
		}
		if slices.Contains(kinds, d.kind) && cells[name][d.kind] == "" {
			cells[name][d.kind] = x.try(t, d)
		}
	}
	table := "| file | " + strings.Join(kinds, " | ") + " |\n|---|---|---|---|\n"
	for _, name := range slices.Sorted(maps.Keys(cells)) {
		table += "| `" + name + "` |"
		for _, kind := range kinds {
			table += " " + cmp.Or(cells[name][kind], "(unchanged)") + " |"
		}
		table += "\n"
	}
	document, err := os.ReadFile(filepath.Join("..", "docs", "directory.md"))
	must(t, err)
	if !strings.Contains(string(document), table) {
		t.Errorf("docs/directory.md has another table than this one:\n%s", table)
	}
}
