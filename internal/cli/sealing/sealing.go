// Package sealing seals files and directories as encrypted streams (vault/stream), and opens
// them. A directory is sealed as one stream of a tar archive, so that no file can be removed
// from it or exchanged. An output has its name only when it is complete.
package sealing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"

	"strongroom.example/internal/suite"
	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// Standard is the path that stands for the standard input or output.
const Standard = "-"

// The pair of the encryption context that a sealed directory has, so that a sealed file,
// whatever its name, is never opened as a directory, nor a directory as a file.
const (
	contentName      = "strongroom:content"
	contentDirectory = "directory"
)

// A Job is one input and its output.
type Job struct {
	From, To  string
	Directory bool
}

// A Worker seals and opens. Its methods are safe for concurrent use if its functions are.
type Worker struct {
	// Client returns the access to the vault. A job calls it when it needs the vault, so that
	// it does not keep the vault from others while it waits for its input.
	Client func(context.Context) (vault.Client, error)
	// Key is the CMK under which Seal makes data keys.
	Key string
	// Context is the encryption context of the data keys.
	Context vault.EncryptionContext
	// Replace replaces existing files.
	Replace bool
	// Moved receives the number of bytes that were read from an input.
	Moved func(n int)
	// Unlocked is called once for each job, when it does not need the vault any more.
	Unlocked func()

	Stdin  io.Reader
	Stdout io.Writer
}

// Run does the jobs, parallel at a time, and returns their errors. A failed job does not end
// the others.
func Run(ctx context.Context, jobs []Job, parallel int, do func(context.Context, Job) error) error {
	errs := make([]error, len(jobs))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(parallel, len(jobs)) {
		workers.Go(func() {
			for i := range next {
				if errs[i] = do(ctx, jobs[i]); errs[i] != nil && len(jobs) > 1 {
					errs[i] = fmt.Errorf("%s: %w", jobs[i].From, errs[i])
				}
			}
		})
	}
	for i := range jobs {
		if ctx.Err() != nil {
			errs[i] = ctx.Err()
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	return errors.Join(errs...)
}

// Seal seals a job's input. Errors: ErrOutputExists, ErrSpecialFile, those of
// GenerateDataKey, and that of ctx.
func (w Worker) Seal(ctx context.Context, j Job) error {
	unlocked := sync.OnceFunc(w.Unlocked)
	defer unlocked()
	in, err := w.input(ctx, j)
	if err != nil {
		return err
	}
	defer in.Close()
	return w.toFile(j.To, func(out io.Writer) error {
		c, err := w.Client(ctx)
		if err != nil {
			return err
		}
		key, err := c.GenerateDataKey(ctx, w.Key, vault.DataKeyDefault, w.contextOf(j))
		if err != nil {
			return err
		}
		sealed, err := stream.NewWriter(out, stream.KeySuite, key)
		key.Destroy()
		unlocked()
		if err != nil {
			return err
		}
		_, err = copyWiped(sealed, in)
		if err != nil {
			return err // without Close, a reader rejects the stream
		}
		return sealed.Close()
	})
}

// Open opens a sealed file or directory. The output is complete and authentic, except on the
// standard output, where an authentic beginning may appear before an error. Errors:
// ErrOutputExists, stream.ErrStream, those of OpenDataKey, and that of ctx.
func (w Worker) Open(ctx context.Context, j Job) error {
	unlocked := sync.OnceFunc(w.Unlocked)
	defer unlocked()
	in, err := w.input(ctx, Job{From: j.From})
	if err != nil {
		return err
	}
	defer in.Close()
	var key *vault.DataKey
	defer func() { key.Destroy() }()
	opened, err := stream.NewReader(in, func(ct []byte) (stream.DataKey, error) {
		c, err := w.Client(ctx)
		if err == nil {
			key, err = c.OpenDataKey(ctx, ct, w.contextOf(j))
		}
		return key, err
	})
	key.Destroy()
	unlocked()
	if err != nil {
		return err
	}
	defer opened.Close()
	if j.Directory {
		return w.extract(j.To, opened)
	}
	return w.toFile(j.To, func(out io.Writer) error {
		_, err := copyWiped(out, opened)
		return err
	})
}

// contextOf returns the encryption context of a job's data key.
func (w Worker) contextOf(j Job) vault.EncryptionContext {
	if !j.Directory {
		return w.Context
	}
	ec := maps.Clone(w.Context)
	if ec == nil {
		ec = make(vault.EncryptionContext)
	}
	ec[contentName] = contentDirectory
	return ec
}

// input opens a job's input. Reading it fails when ctx is done.
func (w Worker) input(ctx context.Context, j Job) (io.ReadCloser, error) {
	counted := func(in io.Reader) io.Reader { return reader{ctx, in, w.Moved} }
	switch {
	case j.From == Standard:
		return io.NopCloser(counted(w.Stdin)), nil
	case j.Directory:
		return archive(j.From, counted)
	}
	f, err := os.Open(j.From)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{counted(f), f}, nil
}

// toFile lets write make the file at path, or write to the standard output.
func (w Worker) toFile(path string, write func(io.Writer) error) error {
	if path == Standard {
		return write(w.Stdout)
	}
	o, err := newOutput(path, w.Replace)
	if err != nil {
		return err
	}
	defer o.discard()
	f, err := o.createFile()
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return o.commitFile(f)
}

// reader reads until its context is done, and reports the bytes that were read.
type reader struct {
	ctx   context.Context
	in    io.Reader
	moved func(n int)
}

// Read reads from the input.
func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(p)
	r.moved(n)
	return n, err
}

// copyWiped copies through a buffer that is wiped at the end.
func copyWiped(out io.Writer, in io.Reader) (int64, error) {
	buffer := suite.NewSecret(256 << 10)
	defer suite.Wipe(buffer)
	return io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, buffer)
}
