package pathindex_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"strongroom.example/keystore/internal/pathindex"
)

// TestIndexIsSorted compares an index with sorted slices over random changes.
func TestIndexIsSorted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	there := map[string]bool{}
	x := pathindex.Index{}
	sorted := func(prefix string) (paths []string) {
		for path := range there {
			if strings.HasPrefix(path, prefix) {
				paths = append(paths, path)
			}
		}
		slices.Sort(paths)
		return paths
	}
	for round := range 2000 {
		path := fmt.Sprintf("%s/%02d", []string{"a", "ab", "never"}[random.IntN(3)], random.IntN(40))
		if random.IntN(3) == 0 {
			delete(there, path)
			x.Remove(path)
		} else {
			there[path] = true
			x.Add(path)
		}
		prefix := []string{"a/", "ab/", "a/1"}[random.IntN(3)]
		if folder := pathindex.Folder(prefix); !x.Has(folder) {
			x.AddFolder(folder, sorted(folder))
		}
		after, limit := fmt.Sprintf("%s%02d", pathindex.Folder(prefix), random.IntN(40)), 1+random.IntN(50)
		want := sorted(prefix)
		want = slices.DeleteFunc(want, func(p string) bool { return p <= after })
		want = want[:min(limit, len(want))]
		if got := x.After(prefix, after, limit); !slices.Equal(got, want) {
			t.Fatalf("round %d: After(%q, %q, %d): %q, want %q", round, prefix, after, limit, got, want)
		}
		if got := x.After(prefix, "", math.MaxInt); !slices.Equal(got, sorted(prefix)) {
			t.Fatalf("round %d: all of %q: %q, want %q", round, prefix, got, sorted(prefix))
		}
	}
	if x.Has("never/") || pathindex.Folder("no slash") != "" {
		t.Error("a folder that was not added is indexed, or a path without a slash has a folder")
	}
}
