package audit

import (
	"testing"
	"time"
)

// FuzzParseCut: a text that parses is the one form of its cut.
func FuzzParseCut(f *testing.F) {
	tree := Tree{SuiteAES}
	s := tree.Extend(State{}, [][]byte{{1}, {2}, {3}}, nil)
	f.Add(Cut{Origin: "o", Size: 3, Root: tree.Root(s), Frontier: s.Frontier, Principal: "p", Time: time.Unix(1, 0)}.text())
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseCut(text, tree); err == nil && c.text() != text {
			t.Errorf("%q parses as %+v", text, c)
		}
	})
}
