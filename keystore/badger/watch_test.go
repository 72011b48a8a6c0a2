package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"strongroom.example/keystore"
)

// A report of Badger's is told without its format's verbs and without values. The fault
// of the system behind it stays, and is no damage at Open.
func TestReportsOfBadger(t *testing.T) {
	denied := &fs.PathError{Op: "remove", Path: "/secret/000001.mem", Err: syscall.EACCES}
	for _, row := range []struct {
		format string
		args   []any
		want   string
		code   error
	}{
		{"while deleting file: %s, err: %v", []any{"/secret/000001.mem", denied}, "while deleting file: ..., err: ...", syscall.EACCES},
		{"[Compactor: %d] LOG Compact FAILED with error: %+v: %+v", []any{1, errors.New("secret"), "secret"}, "[Compactor: ...] LOG Compact FAILED with error: ...: ...", nil},
		{"Key: %#v 100%", []any{"secret"}, "Key: ... 100%", nil},
		{"secret", nil, "an unnamed fault", nil},
	} {
		w := newWatch()
		w.Errorf(row.format, row.args...)
		for what, err := range map[string]error{"err": w.err(), "openErr": w.openErr("dir")} {
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", row.want)) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s after Errorf(%q): %v, want %q in it", what, row.format, err, row.want)
			}
			if row.code != nil && !errors.Is(err, row.code) {
				t.Errorf("%s after Errorf(%q): %v, want %v", what, row.format, err, row.code)
			}
		}
		if got := errors.Is(w.openErr("dir"), keystore.ErrCorrupt); got != (row.code == nil) {
			t.Errorf("openErr after Errorf(%q) is ErrCorrupt: %v, want %v", row.format, got, row.code == nil)
		}
	}
}
