package server

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
)

// statusCSS is the style of the status page.
//
//go:embed status.css
var statusCSS markup

// markup is HTML. Only constants of this package are, so that no text of a caller becomes it.
type markup string

// A page is HTML that is made piece by piece. html/template is not used, because it links the
// reflection of methods, and with that every exported method of the program: 4 MB.
type page struct{ bytes.Buffer }

// raw writes HTML.
func (p *page) raw(pieces ...markup) {
	for _, m := range pieces {
		p.WriteString(string(m))
	}
}

// text writes a value as text, escaped.
func (p *page) text(value any) { p.WriteString(html.EscapeString(fmt.Sprint(value))) }

// A cell is a cell of a table, or the value of a list.
type cell struct {
	value any
	class markup // of the style, or empty
	code  bool
}

// element writes a cell's value in its element.
func (p *page) element(open markup, c cell, end markup) {
	p.raw(open)
	if c.class != "" {
		p.raw(` class="`, c.class, `"`)
	}
	p.raw(">")
	if c.code {
		p.raw("<code>")
	}
	p.text(c.value)
	if c.code {
		p.raw("</code>")
	}
	p.raw(end)
}

// begin begins a section. class is that of its heading.
func (p *page) begin(heading, class markup) {
	p.raw("<section>\n<h2")
	if class != "" {
		p.raw(` class="`, class, `"`)
	}
	p.raw(">", heading, "</h2>\n")
}

// end ends a section.
func (p *page) end() { p.raw("</section>\n") }

// soft writes a remark.
func (p *page) soft(format string, args ...any) {
	p.raw(`<p class="soft">`)
	p.text(fmt.Sprintf(format, args...))
	p.raw("</p>\n")
}

// term writes a name and a value of a list.
func (p *page) term(name any, c cell) {
	p.raw("<dt>")
	p.text(name)
	p.raw("</dt>")
	p.element("<dd", c, "</dd>\n")
}

// table writes a table. On a narrow screen each row is a block in which each cell has its
// name.
func (p *page) table(names []markup, rows [][]cell) {
	p.raw(`<table class="rows">` + "\n<thead><tr>")
	for _, name := range names {
		p.raw("<th>", name, "</th>")
	}
	p.raw("</tr></thead>\n<tbody>\n")
	for _, row := range rows {
		p.raw("<tr>")
		for i, c := range row {
			p.element(`<td data-name="`+names[i]+`"`, c, "</td>")
		}
		p.raw("</tr>\n")
	}
	p.raw("</tbody>\n</table>\n")
}
