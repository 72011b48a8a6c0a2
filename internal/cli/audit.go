package cli

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/audit"
	"strongroom.example/internal/cli/session"
)

func (a *app) auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Read, export, verify and cut the audit log",
		Long: "The commands below audit work on the vault's log. verify and verify-proof need no vault: only the log key.",
	}
	c.AddCommand(a.auditList(), a.auditExport(), a.auditVerify(), a.auditCheckpoint(), a.auditProve(), a.auditVerifyProof(), a.auditCut())
	return c
}

// filterFlags are the flags that select audit records.
type filterFlags struct {
	filter   audit.Filter
	from, to string
}

func (f *filterFlags) add(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.from, "from", "", "only records since this `time`: 2026-12-31 (in UTC), 2026-12-31T12:00:00Z, or 36h for the last 36 hours")
	s.StringVar(&f.to, "to", "", "only records before this `time`")
	s.StringVar(&f.filter.Principal, "principal", "", "only records of this `principal`")
	s.StringVar(&f.filter.Operation, "operation", "", "only records of this `operation`, such as Decrypt")
	s.StringVar(&f.filter.Key, "key", "", "only records of this `key`: its id, or its alias")
	s.StringVar((*string)(&f.filter.Result), "result", "", "only records with this `result`: OK, REFUSED or FAILED")
	must(c.RegisterFlagCompletionFunc("result", fixed(string(audit.OK), string(audit.Refused), string(audit.Failed))))
}

func (f *filterFlags) parse() (_ audit.Filter, err error) {
	if f.filter.From, err = parseTime(f.from, false); err == nil {
		f.filter.To, err = parseTime(f.to, false)
	}
	return f.filter, err
}

// keyID returns the id of a key, by which the log names it. It looks up only what is no id,
// so that the records of a destroyed key are found, and no permission is needed for an id.
func keyID(ctx context.Context, s *session.Session, key string) (string, error) {
	if key == "" || isUUID(key) {
		return key, nil
	}
	k, err := s.Client().DescribeKey(ctx, key)
	return k.ID, err
}

// isUUID reports whether a text has the form of a key's id.
func isUUID(text string) bool {
	const form = "00000000-0000-0000-0000-000000000000"
	if len(text) != len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == '-' && text[i] != '-' || form[i] == '0' && !strings.ContainsRune("0123456789abcdef", rune(text[i])) {
			return false
		}
	}
	return true
}

func (a *app) auditList() *cobra.Command {
	var f filterFlags
	var follow bool
	every := 5 * time.Second
	c := &cobra.Command{
		Use: "list", Short: "List audit records", Args: cobra.NoArgs,
		Long: "list lists the records, the oldest first. With --follow it goes on: it opens the vault at an interval, prints what\n" +
			"other processes recorded, and closes it again, so that they can go on. Each such look is recorded too.",
		Example: "  strongroom audit list --from 24h --operation Decrypt\n" +
			"  strongroom audit list --key invoices --from 2026-12-30 --to 2026-12-31\n  strongroom audit list --follow -o json",
		RunE: a.command(func(ctx context.Context, s *session.Session, _ []string) error {
			filter, err := f.parse()
			if err != nil {
				return err
			}
			if every < time.Second {
				return usage("the interval is at least 1s")
			}
			p := a.recordColumns()
			if !follow {
				if err := s.Open(ctx); err != nil {
					return err
				}
				if filter.Key, err = keyID(ctx, s, filter.Key); err != nil {
					return err
				}
				for r, err := range s.Client().AuditRecords(ctx, filter) {
					if err != nil {
						return err
					}
					if err := p.record(r); err != nil {
						return err
					}
				}
				return p.flush()
			}
			return follower{session: s, filter: filter, print: p}.run(ctx, every)
		}),
	}
	f.add(c)
	c.Flags().BoolVar(&follow, "follow", false, "go on with what is recorded later, until Ctrl-C")
	c.Flags().DurationVar(&every, "interval", every, "how often --follow opens the vault")
	return c
}

// A recordPrinter prints audit records.
type recordPrinter struct{ *printer }

func (a *app) recordColumns() recordPrinter {
	return recordPrinter{a.columns("SEQ", "TIME", "PRINCIPAL", "OPERATION", "PHASE", "KEY", "RESULT", "ERROR", "DETAIL")}
}

// tableRows is how many records share the widths of their columns, because a table is held
// back until it is aligned.
const tableRows = 1000

func (p recordPrinter) record(r audit.Record) error {
	err := p.row(r, r.Seq, r.Time, r.Principal, r.Operation, string(r.Phase), r.Key, string(r.Result), r.Error, r.Detail)
	if err == nil && r.Seq%tableRows == tableRows-1 {
		err = p.flush()
	}
	return err
}

// logKey returns the log key of a flag, or else of the configuration file.
func (a *app) logKey(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	s, err := a.settings()
	if err == nil && s.LogKey == "" {
		err = usage("name the log key with --log-key, or in the configuration file: it is what init and status print")
	}
	return s.LogKey, err
}

func (a *app) auditExport() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "export", Short: "Export the log for offline verification", Args: cobra.NoArgs,
		Example: "  strongroom audit export --out log.jsonl && strongroom audit verify log.jsonl",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			if out == "" || out == "-" {
				return s.Client().ExportAudit(ctx, stoppableWriter(ctx, a.stdout))
			}
			return createNew(out, func(f *os.File) error { return s.Client().ExportAudit(ctx, f) })
		}),
	}
	c.Flags().StringVar(&out, "out", "", "write this new `file` instead of the standard output")
	return c
}

// A verified is the JSON form of a verified export.
type verified struct {
	Origin      string `json:"origin"`
	Records     uint64 `json:"records"`
	First       uint64 `json:"first"`
	Last        uint64 `json:"last"`
	Checkpoints uint64 `json:"checkpoints"`
	Size        uint64 `json:"size"`
}

func (a *app) auditVerify() *cobra.Command {
	var key, save string
	var from []string
	c := &cobra.Command{
		Use: "verify EXPORT...", Short: "Verify exports without the vault", Args: cobra.MinimumNArgs(1),
		Long: "verify verifies exports with the pinned log key. Several files are consecutive parts of one log. --checkpoint is a\n" +
			"checkpoint or a cut that was kept: the log must contain what it covers. For an export behind a cut, give the cut, and\n" +
			"a later checkpoint as well.",
		Example: "  strongroom audit verify log.jsonl --checkpoint last.note --save-checkpoint next.note",
		RunE: func(c *cobra.Command, args []string) error {
			vkey, err := a.logKey(key)
			if err != nil {
				return err
			}
			report, last, err := a.verifyExports(c.Context(), args, vkey, from)
			if err != nil {
				return err
			}
			if save != "" {
				if err := writeNew(save, last); err != nil {
					return err
				}
			}
			v := verified{report.Origin, report.Records, report.First, report.Last, report.Checkpoints, report.Size}
			return a.one(v, "log", v.Origin, "records", v.Records, "first", v.First, "last", v.Last, "checkpoints", v.Checkpoints)
		},
	}
	c.Flags().StringVar(&key, "log-key", "", "the log `key`; default that of the configuration file")
	c.Flags().StringArrayVar(&from, "checkpoint", nil, "a `file` with a checkpoint or cut that was kept; may be repeated")
	c.Flags().StringVar(&save, "save-checkpoint", "", "write the last checkpoint to this new `file`")
	return c
}
