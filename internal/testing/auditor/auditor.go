// Package auditor verifies an export of the audit log as an external party does: by a
// public key, with encoding/json and the packages of the Go checksum database. It uses
// nothing of this module; a test of the import graph enforces that.
package auditor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Report is the content of a verified export.
type Report struct {
	Records, Checkpoints int64
	// Origin is the first line of every checkpoint.
	Origin string
	// Operations counts the records by operation.
	Operations map[string]int
}

// line is one line after the header: a record with its hash, a checkpoint, the frontier of
// a part, or the header of the next part.
type line struct {
	Format     int             `json:"strongroom_audit"`
	Frontier   []string        `json:"frontier"`
	Hash       tlog.Hash       `json:"h"`
	Record     json.RawMessage `json:"r"`
	Checkpoint string          `json:"checkpoint"`
}

// header is the first line. It is not signed; it helps to detect accidental loss.
type header struct {
	Format      int    `json:"strongroom_audit"`
	First       int64  `json:"first"`
	Size        int64  `json:"size"`
	Checkpoints int64  `json:"checkpoints"`
	LogKey      string `json:"log_key"`
}

// An auditor is the state of reading an export.
type auditor struct {
	verifier note.Verifier
	stored   []tlog.Hash
	report   Report
}

// Verify reads an export of the whole log, or of its consecutive parts one after the
// other. It returns an error at the first fault. The export must begin with record 0, and
// the last line of each part must be a checkpoint over all records so far.
func Verify(export io.Reader, verifierKey string) (Report, error) {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Report{}, err
	}
	a := &auditor{verifier: verifier, report: Report{Operations: map[string]int{}}}
	lines := bufio.NewScanner(export)
	lines.Buffer(nil, 1<<20)
	for more := lines.Scan(); more; {
		if more, err = a.part(lines, verifierKey); err != nil {
			return a.report, err
		}
	}
	if a.report.Checkpoints == 0 {
		return a.report, errors.New("there is no header of an export")
	}
	return a.report, lines.Err()
}

// part reads one part, whose header is the present line. It reports whether another
// follows.
func (a *auditor) part(lines *bufio.Scanner, verifierKey string) (more bool, err error) {
	var head header
	if json.Unmarshal(lines.Bytes(), &head) != nil || head.Format != 1 {
		return false, errors.New("the first line is no header of an export")
	}
	first, signed, covered := a.report.Records, a.report.Checkpoints, false
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return false, err
		}
		if more = l.Format != 0; more {
			break
		}
		if l.Frontier != nil {
			continue // it follows from the records before
		}
		read := a.record
		if covered = l.Record == nil; covered {
			read = a.checkpoint
		}
		if err := read(l); err != nil {
			return false, err
		}
	}
	if !covered {
		return false, errors.Join(lines.Err(), errors.New("the last line is no checkpoint"))
	}
	if whole := (header{1, first, a.report.Records, a.report.Checkpoints - signed, verifierKey}); head != whole {
		return false, fmt.Errorf("the header promises %+v, and there is %+v", head, whole)
	}
	return more, lines.Err()
}

// ReadHashes implements tlog.HashReader over the lines read so far.
func (a *auditor) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		out[i] = a.stored[n]
	}
	return out, nil
}

func (a *auditor) record(l line) error {
	var r struct {
		Seq       int64
		Operation string
	}
	if err := json.Unmarshal(l.Record, &r); err != nil {
		return err
	}
	if r.Seq != a.report.Records || tlog.RecordHash(l.Record) != l.Hash {
		return fmt.Errorf("record %d stands at %d, or has another hash", r.Seq, a.report.Records)
	}
	hashes, err := tlog.StoredHashes(r.Seq, l.Record, a)
	a.stored = append(a.stored, hashes...)
	a.report.Records++
	a.report.Operations[r.Operation]++
	return err
}

func (a *auditor) checkpoint(l line) error {
	signed, err := note.Open([]byte(l.Checkpoint), note.VerifierList(a.verifier))
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(a.report.Records, a)
	if err != nil {
		return err
	}
	origin, rest, _ := strings.Cut(signed.Text, "\n")
	if rest != strconv.FormatInt(a.report.Records, 10)+"\n"+root.String()+"\n" || a.report.Checkpoints > 0 && origin != a.report.Origin {
		return fmt.Errorf("checkpoint over %d records: %q", a.report.Records, signed.Text)
	}
	a.report.Origin = origin
	a.report.Checkpoints++
	return nil
}
