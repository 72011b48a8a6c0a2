// Package docs tests the documents of the repository: each command and each snippet in a
// fenced block of a Markdown file is run or compiled. The info string of a fence is its
// language, followed by marks:
//
//	```sh               run by the test
//	```sh hardware      needs a device that no emulator stands in for
//	```sh elsewhere     needs another machine, or a service or package registry outside of this project
//	```sh long          takes longer than a test may; its syntax is checked
//	```sh client=NAME   run with STRONGROOM_CLIENTS=all, where the command NAME of another project is
//	```sh drill NAME    run by the session drill_NAME.txtar of cmd/strongroom
//	```go               compiled and vetted
//	```go module=DIR    compiled with the requirements of the nested module DIR
package docs

import (
	"path/filepath"
	"slices"
	"strings"
)

// A Fence is a fenced block of a Markdown file.
type Fence struct {
	// File is the path of the file in the repository, Line the line of the opening fence.
	File string
	Line int
	// Section is the heading above the fence, without its marks.
	Section string
	// Language is the first word of the info string, Marks the others.
	Language string
	Marks    []string
	// Text is the content, without the indentation of the opening fence.
	Text string
}

// Marked reports whether the fence has a mark.
func (f Fence) Marked(mark string) bool { return slices.Contains(f.Marks, mark) }

// client returns the command of another project that the fence needs, or nothing.
func (f Fence) client() string {
	for _, mark := range f.Marks {
		if name, ok := strings.CutPrefix(mark, "client="); ok {
			return name
		}
	}
	return ""
}

// A Document is a Markdown file: its fences, and the lines outside them that are indented
// like code.
type Document struct {
	File     string
	Fences   []Fence
	Indented map[int]string
	// Open is the line of a fence that is not closed, or 0.
	Open int
}

// Parse reads a Markdown file.
func Parse(file string, text string) Document {
	d := Document{File: filepath.ToSlash(file), Indented: make(map[int]string)}
	section, mark, indent := "", "", ""
	var f Fence
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		bare := strings.TrimLeft(line, " ")
		switch {
		case mark != "" && strings.HasPrefix(bare, mark) && strings.Trim(bare, "`~ ") == "":
			d.Fences, mark = append(d.Fences, f), ""
		case mark != "":
			f.Text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(bare, "```") || strings.HasPrefix(bare, "~~~"):
			mark = bare[:len(bare)-len(strings.TrimLeft(bare, bare[:1]))]
			indent = line[:len(line)-len(bare)]
			f = Fence{File: d.File, Line: number, Section: section}
			if words := strings.Fields(bare[len(mark):]); len(words) > 0 {
				f.Language, f.Marks = words[0], words[1:]
			}
		case strings.HasPrefix(line, "#"):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		case strings.HasPrefix(line, "    "):
			d.Indented[number] = bare
		}
	}
	if mark != "" {
		d.Open = f.Line
	}
	return d
}
