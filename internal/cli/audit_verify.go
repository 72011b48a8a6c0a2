package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"strongroom.example/audit"
	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// maxProof bounds the files that verify-proof and --checkpoint read.
const maxProof = 2 << 20

func (a *app) verifyExports(ctx context.Context, paths []string, vkey string, checkpoints []string) (audit.Report, []byte, error) {
	from, closeAll, err := openAll(paths)
	defer closeAll()
	if err != nil {
		return audit.Report{}, nil, err
	}
	var pinned [][]byte
	for _, path := range checkpoints {
		text, err := a.readInput(ctx, path, maxProof)
		if err != nil {
			return audit.Report{}, nil, err
		}
		pinned = append(pinned, text)
	}
	return audit.VerifyExportFrom(stoppableReader(ctx, io.MultiReader(from...)), vkey, pinned...)
}

func (a *app) auditCheckpoint() *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "Print a signed checkpoint of the log", Args: cobra.NoArgs,
		Example: "  strongroom audit checkpoint > last.note",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			text, err := s.Client().AuditCheckpoint(ctx)
			if err != nil {
				return err
			}
			if a.format == formatJSON {
				return a.one(map[string]string{"checkpoint": string(text)})
			}
			return a.writeOutput(ctx, "", text, false)
		}),
	}
}

// A proof shows that a record is in a log.
type proof struct {
	Seq        uint64   `json:"seq"`
	Record     string   `json:"record"` // in its canonical form
	Checkpoint string   `json:"checkpoint"`
	Path       [][]byte `json:"path"`
}

func (a *app) auditProve() *cobra.Command {
	return &cobra.Command{
		Use: "prove SEQ", Short: "Prove that a record is in the log", Args: cobra.ExactArgs(1),
		Long: "prove prints one JSON object with the record, a signed checkpoint, and the path between them in the log's tree. The\n" +
			"holder of the log key verifies it without the vault, and without the other records.",
		Example: "  strongroom audit prove 17 > 17.proof && strongroom audit verify-proof 17.proof",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			seq, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usage("SEQ is the number of a record, as audit list prints it")
			}
			p, err := prove(ctx, s, seq)
			if err != nil {
				return err
			}
			return json.NewEncoder(a.stdout).Encode(p)
		}),
	}
}

func prove(ctx context.Context, s *session.Session, seq uint64) (p proof, err error) {
	text, err := s.Client().AuditCheckpoint(ctx)
	if err != nil {
		return p, err
	}
	checkpoint, err := audit.OpenCheckpoint(text, s.Vault.LogKey())
	if err != nil {
		return p, err
	}
	path, err := s.Client().AuditInclusion(ctx, seq, checkpoint.Size)
	if err != nil {
		return p, err
	}
	p = proof{Seq: seq, Checkpoint: string(text)}
	for _, hash := range path {
		p.Path = append(p.Path, hash[:])
	}
	for r, err := range s.Client().AuditRecords(ctx, audit.Filter{}) {
		if err != nil {
			return p, err
		}
		if r.Seq == seq {
			p.Record = string(r.Append(nil))
			return p, nil
		}
	}
	return p, fmt.Errorf("%w: record %d", vault.ErrNotFound, seq)
}

func (a *app) auditVerifyProof() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "verify-proof FILE", Short: "Verify a proof without the vault", Args: cobra.ExactArgs(1),
		Example: "  strongroom audit verify-proof 17.proof",
		RunE: func(c *cobra.Command, args []string) error {
			vkey, err := a.logKey(key)
			if err != nil {
				return err
			}
			text, err := a.readInput(c.Context(), args[0], maxProof)
			if err != nil {
				return err
			}
			r, err := verifyProof(text, vkey)
			if err != nil {
				return err
			}
			p := a.recordColumns()
			return errors.Join(p.record(r), p.flush())
		},
	}
	c.Flags().StringVar(&key, "log-key", "", "the log `key`; default that of the configuration file")
	return c
}

// verifyProof verifies a proof, and returns its record.
func verifyProof(text []byte, vkey string) (audit.Record, error) {
	var p proof
	if err := json.Unmarshal(text, &p); err != nil {
		return audit.Record{}, fmt.Errorf("%w: %w", audit.ErrProof, err)
	}
	checkpoint, err := audit.OpenCheckpoint([]byte(p.Checkpoint), vkey)
	if err != nil {
		return audit.Record{}, err
	}
	var path [][32]byte
	for _, hash := range p.Path {
		if len(hash) != 32 {
			return audit.Record{}, audit.ErrProof
		}
		path = append(path, [32]byte(hash))
	}
	r, err := audit.ParseRecord([]byte(p.Record))
	if err != nil || r.Seq != p.Seq {
		return r, audit.ErrProof
	}
	suite, err := suiteOf(vkey)
	if err != nil {
		return r, err
	}
	return r, audit.Tree{Suite: suite}.VerifyInclusion([]byte(p.Record), p.Seq, checkpoint, path)
}

func (a *app) auditCut() *cobra.Command {
	var export, out string
	var before uint64
	c := &cobra.Command{
		Use: "cut", Short: "Remove old records, after exporting them", Args: cobra.NoArgs,
		Long: "cut exports the records before a number to a new file, writes a signed cut to another, and removes the records from\n" +
			"the vault. Keep both: the rest of the log verifies from the cut, and the removed records from the export.",
		Example: "  strongroom audit cut --before 100 --export 0-99.jsonl --out 100.cut",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			var cut []byte
			err := createNew(export, func(f *os.File) (err error) {
				cut, err = s.Client().CutAudit(ctx, vault.CutRequest{Before: before, Export: f})
				return err
			})
			if err != nil {
				return err
			}
			if err := writeNew(out, cut); err != nil {
				return fmt.Errorf("the records were removed; the last CutAudit record of the log contains the cut: %w", err)
			}
			return a.one(map[string]any{"before": before, "export": export, "cut": out}, "kept from record", before, "export", export, "cut", out)
		}),
	}
	f := c.Flags()
	f.Uint64Var(&before, "before", 0, "the `number` of the first record that stays")
	f.StringVar(&export, "export", "", "the new `file` for the removed records")
	f.StringVar(&out, "out", "", "the new `file` for the signed cut")
	for _, name := range []string{"before", "export", "out"} {
		must(c.MarkFlagRequired(name))
	}
	return c
}

// suiteOf returns the suite of the log whose verifier key is vkey; see docs/formats.md.
func suiteOf(vkey string) (audit.Suite, error) {
	_, encoded, _ := strings.Cut(vkey[strings.Index(vkey, "+")+1:], "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return 0, audit.ErrKey
	}
	if key[0] == 1 {
		return audit.SuiteAES, nil
	}
	return audit.SuiteSM, nil
}
