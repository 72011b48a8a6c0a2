package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// A Progress is a bar on a terminal that shows how many bytes of a total are done. On
// another output it shows nothing. It is safe for concurrent use.
type Progress struct {
	mu          sync.Mutex
	out         io.Writer // nil: nothing is shown
	label       string
	total, done int64
	begun, last time.Time // of the first Add, and of the last drawing
	first       int64     // the bytes of the first Add, whose time is not known
	drawn       bool
	now         func() time.Time
	width       func() int
}

// barEvery is the interval at which the bar is drawn.
const barEvery = 100 * time.Millisecond

// NewProgress returns a bar on f. A total of 0 means that it is not known.
func NewProgress(f io.Writer, label string, total int64) *Progress {
	p := &Progress{label: label, total: total, now: time.Now}
	if file, ok := f.(*os.File); ok && Is(file) {
		p.out = file
		p.width = func() int {
			w, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return w
		}
	}
	return p
}

// Add adds n bytes.
func (p *Progress) Add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += int64(n)
	now := p.now()
	if p.begun.IsZero() { // not before, because a passphrase may have been asked for since
		p.begun, p.last, p.first = now, now, int64(n)
	}
	if p.out == nil || now.Sub(p.last) < barEvery {
		return
	}
	p.last, p.drawn = now, true
	fmt.Fprintf(p.out, "\r%s\x1b[K", p.line(p.last.Sub(p.begun)))
}

// End removes the bar, so that the next output begins on an empty line.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// margin is how many columns the bar leaves free: the terminal shows ^C there without a new
// line, which End would not reach.
const margin = 3

// line returns the bar for the width of the terminal.
func (p *Progress) line(elapsed time.Duration) string {
	rate := float64(p.done-p.first) / max(elapsed.Seconds(), 0.001)
	if p.total <= 0 {
		return cut(fmt.Sprintf("%s  %s  %s/s", p.label, Bytes(p.done), Bytes(int64(rate))), p.width())
	}
	part := min(float64(p.done)/float64(p.total), 1)
	left := time.Duration(float64(p.total-min(p.done, p.total)) / max(rate, 1) * float64(time.Second))
	text := fmt.Sprintf(" %3.0f%%  %s of %s  %s/s  %s left", part*100, Bytes(p.done), Bytes(p.total), Bytes(int64(rate)), left.Round(time.Second))
	space := p.width() - margin - len(p.label) - len(text) - len("  [") - len("]")
	if space < 5 {
		return cut(p.label+text, p.width())
	}
	full := int(part * float64(space))
	return fmt.Sprintf("%s  [%s%s]%s", p.label, strings.Repeat("#", full), strings.Repeat("-", space-full), text)
}

// cut returns what fits into a line of the given width, without the margin.
func cut(line string, width int) string { return line[:min(len(line), max(width-margin, 0))] }

// Bytes returns a number of bytes in the largest decimal unit that makes it at least 1.
func Bytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
