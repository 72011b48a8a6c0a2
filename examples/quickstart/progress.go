package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress counts the bytes that are read through it, and shows the count ten times a second
// on a terminal, and at the end elsewhere.
type progress struct {
	r           io.Reader
	what        string
	done, total int64
	begun, next time.Time
	live        bool
}

// watch returns a reader of an open file that shows its progress.
func watch(f *os.File, what string) (*progress, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	out, err := os.Stdout.Stat()
	live := err == nil && out.Mode()&os.ModeCharDevice != 0
	return &progress{r: f, what: what, total: info.Size(), begun: time.Now(), live: live}, nil
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if now := time.Now(); p.live && now.After(p.next) {
		p.next = now.Add(100 * time.Millisecond)
		p.show("\r")
	}
	if err == io.EOF {
		p.show("\n")
	}
	return n, err
}

// show shows the count. On a terminal the line stays until it ends with a newline.
func (p *progress) show(end string) {
	seconds := max(time.Since(p.begun).Seconds(), 1e-6)
	part := 100.0
	if p.total > 0 {
		part = 100 * float64(p.done) / float64(p.total)
	}
	fmt.Printf("%s  %5.1f %%  %6.1f MiB  %6.0f MiB/s%s", p.what, part, float64(p.done)/(1<<20), float64(p.done)/(1<<20)/seconds, end)
}
