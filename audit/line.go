package audit

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"strongroom.example/internal/suite"
)

// maxLine is the longest line of an export. It bounds the memory for verifying one.
const maxLine = 1 << 20

var errLine = errors.New("the line is not in its one form")
var errLong = errors.New("the line is too long")
var errCut = errors.New("the last line has no end")

// lines reads the lines of an export.
type lines struct {
	r    *bufio.Reader
	long []byte
	n    uint64
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next line without its newline, valid until the next call. It returns
// io.EOF after the last line, errLong for a line over maxLine, and errCut for a last line
// without a newline.
func (l *lines) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && len(l.long) == 0 {
			l.n++
			return part[:len(part)-1], nil
		}
		l.long = append(l.long, part...)
		switch {
		case len(l.long) > maxLine:
			l.n++
			return nil, errLong
		case err == nil:
			l.n++
			return l.long[:len(l.long)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(l.long) > 0:
			l.n++
			return nil, errCut
		default:
			return nil, err
		}
	}
}

// header is the first line of an export.
type header struct {
	Format      int    `json:"strongroom_audit"`
	Vault       string `json:"vault"`
	Suite       string `json:"suite"`
	Origin      string `json:"origin"`
	LogKey      string `json:"log_key"`
	First       uint64 `json:"first"`
	Size        uint64 `json:"size"`
	Checkpoints uint64 `json:"checkpoints"`
}

const headerHead = `{"strongroom_audit":`

func (h header) append(dst []byte) []byte {
	dst = append(dst, headerHead...)
	dst = strconv.AppendInt(dst, int64(h.Format), 10)
	dst = appendString(append(dst, `,"vault":`...), h.Vault)
	dst = appendString(append(dst, `,"suite":`...), h.Suite)
	dst = appendString(append(dst, `,"origin":`...), h.Origin)
	dst = appendString(append(dst, `,"log_key":`...), h.LogKey)
	dst = strconv.AppendUint(append(dst, `,"first":`...), h.First, 10)
	dst = strconv.AppendUint(append(dst, `,"size":`...), h.Size, 10)
	dst = strconv.AppendUint(append(dst, `,"checkpoints":`...), h.Checkpoints, 10)
	return append(dst, '}')
}

func parseHeader(line []byte) (header, suite.ID, error) {
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return header{}, 0, err
	}
	id := suite.AES
	if h.Suite == suite.SM.String() {
		id = suite.SM
	}
	if h.Format != 1 || h.Suite != id.String() || !bytes.Equal(h.append(nil), line) {
		return header{}, 0, errLine
	}
	return h, id, nil
}

func appendFrontierLine(dst []byte, frontier [][32]byte) []byte {
	dst = append(dst, `{"frontier":`...)
	lead := byte('[')
	for _, hash := range frontier {
		dst = append(dst, lead, '"')
		dst = append(base64.StdEncoding.AppendEncode(dst, hash[:]), '"')
		lead = ','
	}
	return append(dst, ']', '}')
}

func parseFrontierLine(line []byte) ([][32]byte, error) {
	var l struct {
		Frontier [][]byte `json:"frontier"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, err
	}
	var frontier [][32]byte
	for _, hash := range l.Frontier {
		if len(hash) != 32 {
			return nil, fmt.Errorf("a hash of %d bytes", len(hash))
		}
		frontier = append(frontier, [32]byte(hash))
	}
	if !bytes.Equal(appendFrontierLine(nil, frontier), line) {
		return nil, errLine
	}
	return frontier, nil
}

const (
	recordHead = `{"h":"`
	recordMid  = `","r":`
	hashChars  = 44 // base64 of 32 bytes
)

func appendRecordLine(dst []byte, hash [32]byte, leaf []byte) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, recordHead...), hash[:])
	return append(append(append(dst, recordMid...), leaf...), '}')
}

// splitRecordLine returns the hash, in base64, and the leaf. Both are slices of line.
func splitRecordLine(line []byte) (hash, leaf []byte, err error) {
	rest, ok := bytes.CutPrefix(line, []byte(recordHead))
	if !ok || len(rest) < hashChars {
		return nil, nil, errLine
	}
	leaf, middle := bytes.CutPrefix(rest[hashChars:], []byte(recordMid))
	leaf, end := bytes.CutSuffix(leaf, []byte("}"))
	if !middle || !end {
		return nil, nil, errLine
	}
	return rest[:hashChars], leaf, nil
}

const checkpointHead = `{"checkpoint":`

func appendCheckpointLine(dst, text []byte) []byte {
	return append(appendString(append(dst, checkpointHead...), string(text)), '}')
}

func parseCheckpointLine(line []byte) ([]byte, error) {
	var l struct {
		Checkpoint string `json:"checkpoint"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, err
	}
	text := []byte(l.Checkpoint)
	if !bytes.Equal(appendCheckpointLine(nil, text), line) {
		return nil, errLine
	}
	return text, nil
}
