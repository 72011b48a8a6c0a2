package vault

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/vault/internal/refusedopens"
)

// TestWrongPassphrasesAreOnRecord: the next successful Open records the number of failed
// ones, whatever the file with the count contains, and removes the file.
func TestWrongPassphrasesAreOnRecord(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	closeChecked(t, v)
	file := filepath.Join(dir, refusedopens.File)
	for _, row := range []struct {
		tries  int
		damage func() error
		want   uint64 // recorded failures in total
		detail string
	}{
		{3, nil, 3, ""},
		{1, nil, 4, ""},
		{0, nil, 4, ""},
		{0, func() error { return os.WriteFile(file, []byte("no count"), 0o600) }, 5, "unreadable"},
		{2, func() error { return os.Truncate(file, 5) }, 6, "unreadable"},
		{0, func() error { return os.WriteFile(file, make([]byte, 1<<20), 0o600) }, 7, "unreadable"},
	} {
		for range row.tries {
			if _, err := Open(t.Context(), dir, testConfig(), passphrase(t, "wrong")); !errors.Is(err, ErrUnlock) {
				t.Fatalf("Open by a wrong passphrase: %v, want ErrUnlock", err)
			}
		}
		if row.damage != nil {
			if err := row.damage(); err != nil {
				t.Fatal(err)
			}
		}
		v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("the file with the count remains after Open")
		}
		got, detail := uint64(0), ""
		for r, err := range v.As(DefaultOwner).AuditRecords(t.Context(), audit.Filter{Principal: string(principalUnnamed)}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Operation != string(OpOpenVault) || r.Result != audit.Refused || r.Error != "UNLOCK" || r.Detail["source"] == "" {
				t.Errorf("the record of the failed Opens is %+v", r)
			}
			got, detail = got+max(1, r.Count), r.Detail["count"]
		}
		if got != row.want || detail != row.detail {
			t.Errorf("%d failed calls of Open are recorded (%q), want %d (%q)", got, detail, row.want, row.detail)
		}
		closeChecked(t, v)
	}
}
