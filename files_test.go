package strongroom_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestNamedFilesExist checks that every source file that a document names by its path exists,
// so that the route of an operation in DESIGN.md can be followed.
func TestNamedFilesExist(t *testing.T) {
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, document := range append(documents, "README.md", "DESIGN.md", "SECURITY.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_]+)+\\.go)`").FindAllSubmatch(text, -1) {
			named++
			if _, err := os.Stat(string(m[1])); err != nil {
				t.Errorf("%s names %s: %v", document, m[1], err)
			}
		}
	}
	if named < 20 {
		t.Errorf("the documents name %d files; the test looks for another form", named)
	}
}
