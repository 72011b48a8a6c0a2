package doctor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/vault"
)

func TestAge(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	days := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	for _, c := range []struct {
		last, first time.Time
		want        Level
	}{
		{time.Time{}, days(3), Note},
		{time.Time{}, days(40), Warn},
		{days(40), days(90), Warn},
		{days(3), days(90), OK},
	} {
		if f := age("export", c.last, c.first, now, oldExport); f.Level != c.want || f.NeedsAction() && f.Remedy == "" {
			t.Errorf("age of %v in a log since %v: %+v, want %s", c.last, c.first, f, c.want)
		}
	}
}

func TestUnfinishedOperations(t *testing.T) {
	if f := unfinishedOperations(nil); f.Level != OK {
		t.Errorf("no operations: %+v", f)
	}
	f := unfinishedOperations(map[uint64]audit.Record{
		9: {Seq: 9, Operation: "DestroyKey"},
		4: {Seq: 4, Operation: "CreateKey", Driver: "hsm"},
	})
	if f.Level != Warn || !strings.Contains(f.Text, "2 operations") || !strings.Contains(f.Text, "CreateKey in record 4, device hsm") {
		t.Errorf("two unfinished operations: %+v", f)
	}
}

func TestUnopened(t *testing.T) {
	for err, want := range map[error]Level{
		vault.ErrInUse: Note, vault.ErrNoVault: Fail, vault.ErrCorrupt: Fail, vault.ErrUnlock: Fail,
	} {
		if f := Unopened(fmt.Errorf("around: %w", err)); f.Level != want || f.Remedy == "" {
			t.Errorf("a vault that fails to open with %v: %+v, want %s", err, f, want)
		}
	}
	if f := clock(vault.Health{TimeInDoubt: true}); f.Level != Warn {
		t.Errorf("a time in doubt: %+v", f)
	}
}
