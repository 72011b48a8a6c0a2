package cli

import (
	"context"
	"io"

	"strongroom.example/internal/suite"
)

// A stoppable stream is a standard stream whose calls end when a context is done. A call
// that blocks on a full pipe or a silent terminal is left behind, until the process ends.
type stoppable struct {
	ctx    context.Context
	call   func([]byte) (int, error)
	buffer []byte // of the call; it may outlive the caller's
}

type transferred struct {
	n   int
	err error
}

// stoppableSize bounds one call, as copies of large files use it.
const stoppableSize = 256 << 10

func newStoppable(ctx context.Context, call func([]byte) (int, error)) *stoppable {
	return &stoppable{ctx: ctx, call: call, buffer: suite.NewSecret(stoppableSize)}
}

// stoppableReader returns in, whose reads end with the context.
func stoppableReader(ctx context.Context, in io.Reader) io.Reader {
	return readFunc(newStoppable(ctx, in.Read).read)
}

// stoppableWriter returns out, whose writes end with the context.
func stoppableWriter(ctx context.Context, out io.Writer) io.Writer {
	return writeFunc(newStoppable(ctx, out.Write).write)
}

func (s *stoppable) read(p []byte) (int, error) {
	b := s.buffer[:min(len(p), len(s.buffer))]
	n, err := s.do(b)
	copy(p, b[:n])
	suite.Wipe(b[:n])
	return n, err
}

func (s *stoppable) write(p []byte) (int, error) {
	done := 0
	for done < len(p) || len(p) == 0 {
		b := s.buffer[:copy(s.buffer, p[done:])]
		n, err := s.do(b)
		done += n
		if err != nil || len(p) == 0 {
			return done, err
		}
		suite.Wipe(b)
	}
	return done, nil
}

// do makes a call in a goroutine of its own.
func (s *stoppable) do(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	result := make(chan transferred, 1)
	go func() {
		n, err := s.call(b)
		result <- transferred{n, err}
	}()
	select {
	case r := <-result:
		return r.n, r.err
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

type readFunc func([]byte) (int, error)

// Read calls f.
func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type writeFunc func([]byte) (int, error)

// Write calls f.
func (f writeFunc) Write(p []byte) (int, error) { return f(p) }
