package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"strongroom.example/internal/suite"
)

// checker is the state of checking an export, after some of its lines: the order of its records
// and checkpoints, and their hashes.
type checker struct {
	tree     Tree
	verifier *verifier
	header   header
	state    State
	line     uint64 // the number of the last line read
	good     uint64 // the number of records that the last good checkpoint covers
	signed   uint64 // the number of checkpoints checked
	last     []byte // the text of the last good checkpoint
	parts    Report // First and the counts of the parts before this one
	former   *State // the end of the part before this one; nil in the first part
	// pinned are the checkpoints that the records must match and have not yet matched, in the
	// order of their sizes.
	pinned []Checkpoint
}

func newChecker(h header, id suite.ID, verifier *verifier) *checker {
	return &checker{tree: Tree{Suite(id)}, verifier: verifier, header: h}
}

func (c *checker) fault(kind FaultKind, seq uint64, err error) error {
	return &Fault{Seq: seq, Kind: kind, Line: c.line, Err: err}
}

// begin checks the header for consistency.
func (c *checker) begin(h header) error {
	switch {
	case !c.tree.Suite.id().Valid():
		return c.fault(Malformed, 0, errors.New("the suite is unknown"))
	case c.verifier.suite != c.tree.Suite.id():
		return c.fault(WrongKey, 0, fmt.Errorf("checkpoints of a log in suite %v are signed by %s, and the log key is one of %s",
			c.tree.Suite, c.tree.Suite.id().Signature(), c.verifier.suite.Signature()))
	case h.Origin != c.verifier.Name():
		return c.fault(WrongKey, 0, errors.New("the log key is that of another origin"))
	case !names(h.Origin, h.Vault):
		return c.fault(Malformed, 0, errors.New("the origin does not name the vault"))
	}
	return nil
}

// start checks that the export begins with the first record, or directly after the
// first pinned checkpoint.
func (c *checker) start() error {
	switch first := c.header.First; {
	case first == 0:
		return c.meet()
	case len(c.pinned) == 0:
		return c.fault(Gap, 0, fmt.Errorf("the export begins with record %d; only a pinned checkpoint says what is before it", first))
	case first > c.pinned[0].Size:
		return c.fault(Gap, c.pinned[0].Size, fmt.Errorf("the export begins with record %d", first))
	case first < c.pinned[0].Size:
		return c.fault(Gap, 0, fmt.Errorf("the export begins with record %d, before the end of the pinned checkpoint, which says nothing of that place", first))
	}
	return nil
}

// follow checks that the export begins where the part before it ends.
func (c *checker) follow(former *checker) error {
	c.parts, c.former, c.last = former.report(), &former.state, former.last
	c.state.Size, c.good = former.state.Size, former.state.Size
	switch first := c.header.First; {
	case first > former.state.Size:
		return c.fault(Gap, former.state.Size, fmt.Errorf("the next part of the export begins with record %d", first))
	case first < former.state.Size:
		return c.fault(Duplicate, first, fmt.Errorf("the next part of the export begins with it, and the part before has it"))
	case first == 0:
		return c.fault(Duplicate, 0, errors.New("the export has two headers"))
	}
	return nil
}

// meet compares the tree with the pinned checkpoints of its size.
func (c *checker) meet() error {
	for ; len(c.pinned) > 0 && c.pinned[0].Size == c.state.Size; c.pinned = c.pinned[1:] {
		if c.pinned[0].Root != c.tree.Root(c.state) {
			return c.fault(Fork, c.good, fmt.Errorf("the pinned checkpoint over %d records is of others", c.pinned[0].Size))
		}
	}
	return nil
}

// resume sets the state at which the export begins, from the header's first record and
// the frontier.
func (c *checker) resume(frontier [][32]byte) error {
	c.state = State{Size: c.header.First, Frontier: slices.Clone(frontier)} // push changes the frontier
	c.good = c.header.First
	if !c.state.Valid() {
		return c.fault(Malformed, c.header.First, errors.New("the frontier does not fit the first record"))
	}
	if c.former != nil && !slices.Equal(frontier, c.former.Frontier) {
		return c.fault(Fork, c.header.First, errors.New("the part before it has another frontier"))
	}
	return c.meet()
}

// record checks a record's line and adds the record to the tree.
func (c *checker) record(line []byte) error {
	hash, leaf, err := splitRecordLine(line)
	if err != nil {
		return c.fault(Malformed, c.state.Size, err)
	}
	sum := c.tree.Leaf(leaf)
	if base64.StdEncoding.EncodeToString(sum[:]) != string(hash) {
		return c.fault(Flipped, c.state.Size, nil)
	}
	r, err := ParseRecord(leaf)
	if err != nil {
		return c.fault(Malformed, c.state.Size, err)
	}
	if r.Seq > c.state.Size {
		return c.fault(Gap, c.state.Size, fmt.Errorf("record %d stands in its place", r.Seq))
	}
	if r.Seq < c.state.Size {
		return c.fault(Duplicate, r.Seq, fmt.Errorf("it stands in the place of record %d", c.state.Size))
	}
	c.tree.push(&c.state, sum, nil)
	return c.meet()
}

// checkpoint checks a checkpoint's line against the records before it.
func (c *checker) checkpoint(line []byte) error {
	text, err := parseCheckpointLine(line)
	if err != nil {
		return c.fault(Malformed, c.good, err)
	}
	point, err := openCheckpoint(text, c.verifier)
	if err != nil {
		return c.fault(signatureFault(err), c.good, err)
	}
	switch {
	case point.Size > c.state.Size:
		return c.fault(Gap, c.state.Size, fmt.Errorf("a checkpoint over %d records stands in its place", point.Size))
	case c.signed > 0 && point.Size == c.good:
		return c.fault(Duplicate, point.Size, errors.New("the checkpoint was there before"))
	case point.Size < c.state.Size:
		return c.fault(Reordered, point.Size, errors.New("the checkpoint before it comes after it"))
	case point.Root != c.tree.Root(c.state):
		return c.fault(Fork, c.good, fmt.Errorf("the checkpoint over %d records is of others", point.Size))
	}
	c.good, c.last = point.Size, text
	c.signed++
	return nil
}

func signatureFault(err error) FaultKind {
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unverified):
		return WrongKey
	case errors.Is(err, ErrSignature):
		return BadSignature
	}
	return Malformed
}

// end checks that the last checkpoint covers all records and that the counts in the
// header match.
func (c *checker) end() error {
	switch {
	case c.signed == 0 || c.good != c.state.Size:
		return c.fault(Truncated, c.state.Size, errors.New("no checkpoint covers the end"))
	case c.state.Size != c.header.Size:
		return c.fault(Truncated, c.state.Size, fmt.Errorf("the header tells of %d records", c.header.Size))
	case c.signed != c.header.Checkpoints:
		return c.fault(Gap, c.state.Size, fmt.Errorf("%d checkpoints, and the header tells of %d", c.signed, c.header.Checkpoints))
	}
	return nil
}

// met checks, at the end of the last part, that the records have reached the pinned
// checkpoints.
func (c *checker) met() error {
	if len(c.pinned) > 0 {
		return c.fault(Truncated, c.state.Size, fmt.Errorf("the pinned checkpoint covers %d records", c.pinned[0].Size))
	}
	return nil
}

func (c *checker) report() Report {
	r := Report{Origin: c.header.Origin, First: c.header.First, Size: c.state.Size, Root: c.tree.Root(c.state),
		Checkpoints: c.parts.Checkpoints + c.signed}
	if c.former != nil {
		r.First = c.parts.First
	}
	r.Records, r.Last = r.Size-r.First, r.First
	if r.Records > 0 {
		r.Last = r.Size - 1
	}
	return r
}

// explain tells a record that is missing (Gap) from one that was only moved (Reordered): it
// searches the rest of the export for the record.
func (v *verification) explain(err error) error {
	var f *Fault
	if !errors.As(err, &f) || f.Kind != Gap {
		return err
	}
	for {
		line, readErr := v.lines.next()
		if readErr != nil {
			return f
		}
		_, leaf, splitErr := splitRecordLine(line)
		if splitErr != nil {
			continue
		}
		if r, parseErr := ParseRecord(leaf); parseErr == nil && r.Seq == f.Seq {
			f.Kind = Reordered
			return f
		}
	}
}
