package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/sealing"
	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/cli/terminal"
	"strongroom.example/vault"
)

// The endings of sealed files and directories.
const (
	sealedFile      = ".sealed"
	sealedDirectory = ".sealed-dir"
)

// sealFlags are the flags of seal and open.
type sealFlags struct {
	out       string
	directory bool
	force     bool
	parallel  int
	context   []string
}

func (f *sealFlags) add(c *cobra.Command) {
	f.parallel = runtime.GOMAXPROCS(0)
	c.Flags().StringVar(&f.out, "out", "", "the `name` of the output, for a single input; - is the standard output")
	c.Flags().BoolVar(&f.force, "force", false, "replace existing files")
	c.Flags().IntVarP(&f.parallel, "jobs", "j", f.parallel, "how many inputs are worked on at a time; default one for each processor")
	c.Flags().Lookup("jobs").DefValue = "0"
	c.Flags().StringArrayVarP(&f.context, "context", "c", nil, "a pair of the encryption context, `name=value`; may be repeated")
}

func (a *app) sealCommand() *cobra.Command {
	var f sealFlags
	c := &cobra.Command{
		Use: "seal KEY [PATH]...", Short: "Seal files and directories of any size", Args: cobra.MinimumNArgs(1),
		Long: "seal encrypts each PATH under a data key of its own. A file becomes PATH" + sealedFile + ", and a directory becomes one file,\n" +
			"PATH" + sealedDirectory + ". Without PATH, or with -, it seals the standard input to the standard output. The originals stay.\n" +
			"An output has its name only when it is complete. The vault is free for others as soon as the last data key is made.",
		Example: "  strongroom seal backups database.dump photos/\n  pg_dump shop | strongroom seal backups > shop" + sealedFile,
		RunE: a.command(func(ctx context.Context, s *session.Session, args []string) error {
			jobs, err := f.jobs(args[1:], sealName)
			if err != nil {
				return err
			}
			return a.runJobs(ctx, jobs, f, s, args[0], sealing.Worker.Seal)
		}),
	}
	f.add(c)
	return c
}

func (a *app) openCommand() *cobra.Command {
	var f sealFlags
	c := &cobra.Command{
		Use: "open [PATH]...", Short: "Open sealed files and directories",
		Long: "open decrypts what seal made: PATH" + sealedFile + " to PATH, and PATH" + sealedDirectory + " to the directory PATH. Without PATH, or\n" +
			"with -, it opens the standard input to the standard output. There an authentic beginning appears before the whole\n" +
			"is verified: use it only if open exits with 0.",
		Example: "  strongroom open database.dump" + sealedFile + " photos" + sealedDirectory + "\n  strongroom open < shop" + sealedFile + " | psql shop",
		RunE: a.command(func(ctx context.Context, s *session.Session, args []string) error {
			jobs, err := f.jobs(args, f.openName)
			if err != nil {
				return err
			}
			return a.runJobs(ctx, jobs, f, s, "", sealing.Worker.Open)
		}),
	}
	f.add(c)
	c.Flags().BoolVar(&f.directory, "directory", false, "the input is a sealed directory, whatever its name")
	return c
}

// sealName returns the job that seals a path.
func sealName(path string) (sealing.Job, error) {
	info, err := os.Stat(path)
	if err != nil {
		return sealing.Job{}, notThere(err)
	}
	path = filepath.Clean(path)
	if !info.IsDir() {
		return sealing.Job{From: path, To: path + sealedFile}, nil
	}
	if name := filepath.Base(path); name == "." || name == ".." || name == string(filepath.Separator) {
		return sealing.Job{From: path, Directory: true}, nil // needs --out
	}
	return sealing.Job{From: path, To: path + sealedDirectory, Directory: true}, nil
}

// openName returns the job that opens a path.
func (f *sealFlags) openName(path string) (sealing.Job, error) {
	if to, ok := strings.CutSuffix(path, sealedDirectory); ok || f.directory {
		return sealing.Job{From: path, To: to, Directory: true}, nil
	}
	to, ok := strings.CutSuffix(path, sealedFile)
	if !ok {
		to = ""
	}
	return sealing.Job{From: path, To: to}, nil
}

// jobs returns the jobs for paths. of returns the job for one path; its output is empty if
// only --out can name it.
func (f *sealFlags) jobs(paths []string, of func(string) (sealing.Job, error)) ([]sealing.Job, error) {
	if f.out != "" && len(paths) > 1 {
		return nil, usage("--out names the output of one input")
	}
	if len(paths) == 0 {
		paths = []string{sealing.Standard}
	}
	var jobs []sealing.Job
	for _, path := range paths {
		j := sealing.Job{From: path, To: sealing.Standard, Directory: f.directory}
		if path != sealing.Standard {
			var err error
			if j, err = of(path); err != nil {
				return nil, err
			}
		}
		if f.out != "" {
			j.To = f.out
		}
		if j.To == "" || j.Directory && j.To == sealing.Standard && path == sealing.Standard || j.To == j.From && path != sealing.Standard {
			return nil, usage("%s: name the output with --out", path)
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// runJobs does the jobs with a progress bar.
func (a *app) runJobs(ctx context.Context, jobs []sealing.Job, f sealFlags, s *session.Session, key string,
	do func(sealing.Worker, context.Context, sealing.Job) error) error {
	ec, err := parsePairs(f.context)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.To == sealing.Standard && terminal.Is(a.stdout) && key != "" {
			return usage("the output is binary: use --out, or send it to a file or pipe")
		}
	}
	bar := a.progress(jobs)
	defer bar.End()
	var locked atomic.Int64
	locked.Store(int64(len(jobs)))
	var release error
	var once sync.Once
	opened := sync.OnceValue(func() error { return s.Open(ctx) })
	client := func(context.Context) (vault.Client, error) {
		if err := opened(); err != nil {
			return vault.Client{}, err
		}
		return s.Client(), nil
	}
	w := sealing.Worker{
		Client: client, Key: key, Context: vault.EncryptionContext(ec), Replace: f.force, Moved: bar.Add,
		Stdin: stoppableReader(ctx, a.stdin), Stdout: stoppableWriter(ctx, a.stdout),
		Unlocked: func() {
			if locked.Add(-1) == 0 {
				once.Do(func() { release = s.Release() })
			}
		},
	}
	err = sealing.Run(ctx, jobs, max(f.parallel, 1), func(ctx context.Context, j sealing.Job) error { return do(w, ctx, j) })
	return errors.Join(err, release)
}

// progress returns the bar for the jobs: one that shows nothing with --quiet, or while the
// output goes to the terminal itself.
func (a *app) progress(jobs []sealing.Job) *terminal.Progress {
	total, label, out := int64(0), "", a.stderr
	for _, j := range jobs {
		size, err := sealing.Size(j.From)
		if err != nil || j.From == sealing.Standard {
			total = 0 // not known
			break
		}
		total += size
	}
	if len(jobs) == 1 {
		label = filepath.Base(jobs[0].From)
	} else {
		label = "all"
	}
	if a.quiet || jobs[0].To == sealing.Standard && terminal.Is(a.stdout) {
		out = nil
	}
	return terminal.NewProgress(out, label, total)
}
