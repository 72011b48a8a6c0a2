package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
)

// session is a program that uses a vault until it ends, is killed or its vault fails, and
// reports each result that it received as a line: a kind and a value. A line "intent KIND"
// precedes a change that takes back an earlier result. Parents check the lines by
// checkAcknowledged.
type session struct {
	ctx    context.Context
	client Client
	dir    string // the vault's; the exports of cuts are beside it
	report func(line string)
	// way and other open the vault, and RotateRoot keeps both. third is added and removed.
	way, other, third driver.Protector
	n                 int // of the last tag
}

// newSession returns a session of the open vault in dir.
func newSession(t testing.TB, v *Vault, dir string, report func(line string)) *session {
	s := &session{ctx: t.Context(), client: v.As(DefaultOwner), dir: dir, report: report}
	s.way, s.other, s.third = passphrase(t, "correct horse"), passphrase(t, "battery staple"), passphrase(t, "third")
	if k, err := s.client.DescribeKey(s.ctx, "busy"); err == nil {
		s.n, _ = strconv.Atoi(k.Tags["n"])
	}
	return s
}

// ended reports whether no operation can succeed any more.
func ended(err error) bool {
	return errors.Is(err, ErrAuditUnavailable) || errors.Is(err, ErrReplaced) || errors.Is(err, ErrClosed)
}

// sessionActs are the parts of a session, by name. Each makes one or more results.
var sessionActs = map[string]func(s *session) error{
	"encrypt": (*session).encrypt,
	"create": func(s *session) error {
		k, err := s.client.CreateKey(s.ctx, KeyOptions{})
		if err != nil {
			return err
		}
		s.report("key " + k.ID)
		return nil
	},
	"disable": func(s *session) error {
		k, err := s.client.CreateKey(s.ctx, KeyOptions{})
		if err != nil {
			return err
		}
		if err := s.client.DisableKeys(s.ctx, k.ID); err != nil {
			return err
		}
		s.report("disabled " + k.ID)
		return nil
	},
	"rotate": func(s *session) error {
		k, err := s.client.RotateKey(s.ctx, "busy")
		if err != nil {
			return err
		}
		s.report(fmt.Sprint("version ", k.Version))
		return nil
	},
	"tag": func(s *session) error {
		if err := s.client.TagKey(s.ctx, "busy", bulkTags(s.n+1)); err != nil {
			return err
		}
		s.n++
		s.report(fmt.Sprint("tag ", s.n))
		return nil
	},
	"protectors": func(s *session) error {
		p, err := s.client.AddProtector(s.ctx, s.way, s.third)
		if err != nil {
			return err
		}
		s.report("protector " + p.ID)
		s.report("intent protector " + p.ID)
		if err := s.client.RemoveProtector(s.ctx, p.ID); err != nil {
			return err
		}
		s.report("removed " + p.ID)
		return nil
	},
	"root": func(s *session) error {
		s.report("intent protector all")
		if err := s.client.RotateRoot(s.ctx, s.way, s.other); err != nil {
			return err
		}
		s.report("rotated root")
		return nil
	},
	"backup": func(s *session) error {
		b, err := s.client.Backup(s.ctx, io.Discard, BackupOptions{}, s.way)
		if err != nil {
			return err
		}
		s.report("backup " + b.ID)
		return nil
	},
	"delete": func(s *session) error {
		s.report("intent material imported")
		if err := s.client.DeleteImportedKeyMaterial(s.ctx, "imported"); err != nil {
			return err
		}
		s.report("deleted imported")
		return nil
	},
	"datakeys": (*session).makeDataKeys,

	"cut":  (*session).cut,
	"save": (*session).save,
}

func (s *session) encrypt() error {
	ct, err := s.client.Encrypt(s.ctx, "busy", []byte("x"), nil)
	if err != nil {
		return err
	}
	s.report("ciphertext " + hex.EncodeToString(ct))
	plain, err := s.client.Decrypt(s.ctx, ct, nil)
	if err == nil && string(plain) != "x" {
		s.report("wrong plaintext")
	}
	return err
}

// recordedAs is the operation whose records a kind of result leaves, one or more each.
var recordedAs = map[string]Operation{
	"ciphertext": OpEncrypt, "key": OpCreateKey, "disabled": OpDisableKey, "version": OpRotateKey, "tag": OpTagKey,
	"protector": OpAddProtector, "removed": OpRemoveProtector, "rotated": OpRotateRoot, "deleted": OpDeleteImportedKeyMaterial,
	"datakey": OpCreateDataKey, "disabled-datakey": OpDisableDataKey, "backup": OpBackup, "cut": OpCutAudit, "saved": OpBackup,
}

// bulkTags are tags of 10 KB that say the number.
func bulkTags(n int) map[string]string {
	tags := map[string]string{"n": strconv.Itoa(n)}
	for i := range 39 {
		tags[fmt.Sprint("bulk", i)] = fmt.Sprintf("%0250d", n)
	}
	return tags
}

// nearlyFullLog makes a vault for sessions, whose redo log has room for a few more tags before
// it turns to its second segment.
func nearlyFullLog(t *testing.T) (dir string) {
	t.Helper()
	for tags, full := 1000, false; ; full = true {
		dir = filepath.Join(t.TempDir(), "v")
		v, err := Create(t.Context(), dir, testConfig(), passphrase(t, "correct horse"), passphrase(t, "battery staple"))
		must(t, err)
		c := v.As(DefaultOwner)
		mustKey(t, c, KeyOptions{Alias: "busy"})
		k := mustKey(t, c, KeyOptions{Alias: "imported", Origin: OriginExternal})
		mustImport(t, c, "imported", newImportFixture(t, c, k, ownKey(1)).material())
		n := 1
		for ; n < tags; n++ {
			must(t, c.TagKey(t.Context(), "busy", bulkTags(n)))
			if logTurned(dir) {
				break
			}
		}
		closeChecked(t, v)
		if full {
			return dir
		}
		tags = n - 4
	}
}

// logTurned reports whether the redo log of the vault in dir has turned to its second segment.
func logTurned(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "store", "redo.2"))
	return err == nil
}

// copyVault copies a closed vault to dir.
func copyVault(t *testing.T, dir, from string) {
	t.Helper()
	must(t, os.CopyFS(dir, os.DirFS(from)))
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700) // CopyFS gives it 0777 minus the umask
		}
		return err
	}))
}

// checkAcknowledged checks every result that sessions reported, its audit record, and the
// integrity of the vault.
func checkAcknowledged(t *testing.T, v *Vault, when string, lines []string) {
	t.Helper()
	checkResults(t, v, when, lines)
	checkRecorded(t, v.As(DefaultOwner), when, lines)
}

// checkResults is checkAcknowledged for a vault that may have lost audit records.
func checkResults(t *testing.T, v *Vault, when string, lines []string) {
	t.Helper()
	c, ctx := v.As(DefaultOwner), t.Context()
	if err := c.Check(ctx); err != nil {
		t.Errorf("%s: Check: %v", when, err)
	}
	if len(v.store.Paths(intents)) != 0 {
		t.Errorf("%s: an intent remains after Open", when)
	}
	busy, err := c.DescribeKey(ctx, "busy")
	if err != nil {
		t.Errorf("%s: DescribeKey: %v", when, err)
		return
	}
	protectors, err := c.ListProtectors(ctx)
	must(t, err)
	checkSaved(t, when, lines)
	for _, line := range lines {
		kind, value, _ := strings.Cut(line, " ")
		switch kind {
		case "cut":
			if n, err := strconv.ParseUint(value, 10, 64); err != nil || n > v.store.LogFirst().Size {
				t.Errorf("%s: a cut before record %s was acknowledged, and the log begins with record %d", when, value, v.store.LogFirst().Size)
			}
		case "wrong":
			t.Errorf("%s: a wrong result: %s", when, value)
		case "ciphertext":
			ct, err := hex.DecodeString(value)
			must(t, err)
			if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
				t.Errorf("%s: Decrypt of an acknowledged ciphertext: %q, error %v", when, got, err)
			}
		case "key", "disabled":
			want := map[string]KeyState{"key": Enabled, "disabled": Disabled}[kind]
			if k, err := c.DescribeKey(ctx, value); err != nil || k.State != want {
				t.Errorf("%s: DescribeKey of an acknowledged %s: state %v, error %v", when, kind, k.State, err)
			}
		case "datakey", "disabled-datakey":
			if err := dataKeyFault(ctx, c, value, kind == "disabled-datakey"); err != nil {
				t.Errorf("%s: an acknowledged %s: %v", when, kind, err)
			}
		case "version":
			if n, err := strconv.Atoi(value); err != nil || uint32(n) > busy.Version {
				t.Errorf("%s: version %s was acknowledged, and the key has version %d", when, value, busy.Version)
			}
		case "tag":
			n, _ := strconv.Atoi(value)
			if found, _ := strconv.Atoi(busy.Tags["n"]); found < n {
				t.Errorf("%s: tag %d was acknowledged, and the key has %d", when, n, found)
			}
		case "protector", "removed":
			there := slices.ContainsFunc(protectors, func(p Protector) bool { return p.ID == value })
			mayBeGone := slices.Contains(lines, "intent protector "+value) || slices.Contains(lines, "intent protector all")
			if there && kind == "removed" || !there && kind == "protector" && !mayBeGone {
				t.Errorf("%s: protector %s was acknowledged as %s; there: %v", when, value, kind, there)
			}
		case "deleted":
			if k, err := c.DescribeKey(ctx, "imported"); err != nil || k.State != PendingImport {
				t.Errorf("%s: material was acknowledged as deleted: state %v, error %v", when, k.State, err)
			}
		}
	}
}

// checkRecorded checks that every result has its audit record, in the log or in the exports
// of the records that the same sessions cut from it.
func checkRecorded(t *testing.T, c Client, when string, lines []string) {
	t.Helper()
	want, found := map[Operation]int{}, map[Operation]int{}
	for _, line := range lines {
		kind, _, _ := strings.Cut(line, " ")
		if op, ok := recordedAs[kind]; ok {
			want[op]++
		}
	}
	count := func(r audit.Record) {
		if r.Result == audit.OK {
			found[Operation(r.Operation)]++
		}
	}
	checkExports(t, c, when, lines, count)
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		must(t, err)
		count(r)
	}
	for op, n := range want {
		if found[op] < n {
			t.Errorf("%s: %d results of %s were acknowledged, and %d are on record", when, n, op, found[op])
		}
	}
}
