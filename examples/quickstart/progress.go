package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress counts the bytes that are read through it, and shows the count ten times a
// second.
type progress struct {
	r           io.Reader
	what        string
	done, total int64
	begun, next time.Time
}

// watch returns a reader of an open file that shows its progress.
func watch(f *os.File, what string) (*progress, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &progress{r: f, what: what, total: info.Size(), begun: time.Now()}, nil
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if now := time.Now(); now.After(p.next) || err == io.EOF {
		p.next = now.Add(100 * time.Millisecond)
		p.show()
	}
	if err == io.EOF {
		fmt.Println()
	}
	return n, err
}

func (p *progress) show() {
	seconds := max(time.Since(p.begun).Seconds(), 1e-6)
	part := 100.0
	if p.total > 0 {
		part = 100 * float64(p.done) / float64(p.total)
	}
	fmt.Printf("\r%s  %5.1f %%  %6.1f MiB  %6.0f MiB/s", p.what, part, float64(p.done)/(1<<20), float64(p.done)/(1<<20)/seconds)
}
