package doctable_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"strongroom.example/internal/testing/doctable"
)

// A failure is a testing.TB that remembers whether it failed.
type failure struct {
	testing.TB
	failed bool
}

func (*failure) Helper() {}

func (f *failure) Errorf(string, ...any) { f.failed = true }

func (f *failure) Fatalf(string, ...any) {
	f.failed = true
	runtime.Goexit()
}

func TestCompare(t *testing.T) {
	const text, begin, end = "head\n<!-- x -->\nold\n<!-- end -->\ntail\n", "<!-- x -->\n", "<!-- end -->\n"
	for name, x := range map[string]struct {
		begin, want string
		update      bool
		fails       bool
		left        string
	}{
		"equal":             {begin, "old\n", false, false, text},
		"another table":     {begin, "new\n", false, true, text},
		"update":            {begin, "new\n", true, false, "head\n<!-- x -->\nnew\n<!-- end -->\ntail\n"},
		"no mark":           {"<!-- y -->\n", "old\n", true, true, text},
		"update, but equal": {begin, "old\n", true, false, text},
	} {
		file := filepath.Join(t.TempDir(), "doc.md")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, done := &failure{TB: t}, make(chan struct{})
		go func() {
			defer close(done)
			doctable.Compare(f, file, x.begin, end, x.update, func(present string) string {
				if present != "old\n" {
					t.Errorf("%s: the table is %q", name, present)
				}
				return x.want
			})
		}()
		<-done
		left, err := os.ReadFile(file)
		if f.failed != x.fails || err != nil || string(left) != x.left {
			t.Errorf("%s: failed %v, left %q, %v", name, f.failed, left, err)
		}
	}
}
