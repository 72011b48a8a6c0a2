// Package pathindex lists long folders of paths in pages.
package pathindex

import (
	"strings"

	"github.com/google/btree"
)

// An Index holds the paths of some folders in order, so that a page of a long list need not read
// or sort all paths. A folder is the part of a path up to its first slash. It is indexed when it
// is first listed in pages, because most folders never are.
type Index map[string]*btree.BTreeG[string]

// degree is the degree of the trees: a node has up to twice as many paths.
const degree = 32

// Folder returns the folder of a path, with the slash; "" if the path has no slash.
func Folder(path string) string { return path[:strings.IndexByte(path, '/')+1] }

// Add enters a path if its folder is indexed.
func (x Index) Add(path string) {
	if tree := x[Folder(path)]; tree != nil {
		tree.ReplaceOrInsert(path)
	}
}

// Remove removes a path if its folder is indexed.
func (x Index) Remove(path string) {
	if tree := x[Folder(path)]; tree != nil {
		tree.Delete(path)
	}
}

// Has reports whether a folder is indexed.
func (x Index) Has(folder string) bool { return x[folder] != nil }

// AddFolder indexes a folder, of which paths are all.
func (x Index) AddFolder(folder string, paths []string) {
	tree := btree.NewG(degree, func(a, b string) bool { return a < b })
	for _, path := range paths {
		tree.ReplaceOrInsert(path)
	}
	x[folder] = tree
}

// After returns the paths that start with prefix and sort behind after, sorted, at most limit
// of them. The folder of prefix must be indexed.
func (x Index) After(prefix, after string, limit int) (out []string) {
	x[Folder(prefix)].AscendGreaterOrEqual(max(prefix, after), func(path string) bool {
		if !strings.HasPrefix(path, prefix) || len(out) == limit {
			return false
		}
		if path > after {
			out = append(out, path)
		}
		return true
	})
	return out
}
