package audit_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
)

// smTree is an independent implementation of RFC 6962 with SM3: the complete subtrees
// from the left, and the number of leaves of each.
type smTree struct {
	hashes [][32]byte
	sizes  []int
}

func (t *smTree) push(hash [32]byte, size int) {
	for n := len(t.sizes); n > 0 && t.sizes[n-1] == size; n-- {
		hash = smNode(t.hashes[n-1], hash)
		size *= 2
		t.hashes, t.sizes = t.hashes[:n-1], t.sizes[:n-1]
	}
	t.hashes, t.sizes = append(t.hashes, hash), append(t.sizes, size)
}

func (t *smTree) root() [32]byte {
	n := len(t.hashes) - 1
	root := t.hashes[n]
	for i := n - 1; i >= 0; i-- {
		root = smNode(t.hashes[i], root)
	}
	return root
}

func smNode(left, right [32]byte) [32]byte {
	return sm3.Sum(bytes.Join([][]byte{{1}, left[:], right[:]}, nil))
}

// TestIndependentSM verifies an SM export from its tenth record on with only
// encoding/json and gmsm: SM3 for every hash, including the key id, and SM2 for the
// signature. It uses no code of this module.
func TestIndependentSM(t *testing.T) {
	vkey, err := os.ReadFile("testdata/export-sm.vkey")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("testdata/export-sm.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	scan := bufio.NewScanner(file)
	var head struct {
		Suite string
		First int
	}
	var front struct{ Frontier [][]byte }
	readJSON(t, scan, &head)
	readJSON(t, scan, &front)
	if head.Suite != "SM4_GCM_SM3" || len(front.Frontier) != bits.OnesCount(uint(head.First)) {
		t.Fatalf("%+v, %d hashes", head, len(front.Frontier))
	}
	tree, seq := new(smTree), head.First
	for i, rest := 0, head.First; rest > 0; i++ {
		size := 1 << (bits.Len(uint(rest)) - 1)
		tree.push([32]byte(front.Frontier[i]), size)
		rest -= size
	}
	var line struct {
		Hash       []byte          `json:"h"`
		Record     json.RawMessage `json:"r"`
		Checkpoint string
	}
	for readJSON(t, scan, &line); line.Checkpoint == ""; readJSON(t, scan, &line) {
		leaf := sm3.Sum(append([]byte{0}, line.Record...))
		if !bytes.Equal(leaf[:], line.Hash) {
			t.Fatalf("record %d does not have the hash in its line", seq)
		}
		tree.push(leaf, 1)
		seq++
	}
	root := tree.root()
	want := fmt.Sprintf("strongroom.example/0123456789abcdef0123456789abcdef\n%d\n%s\n", seq, base64.StdEncoding.EncodeToString(root[:]))
	if got := openIndependently(t, line.Checkpoint, string(vkey)); got != want || seq != 12 || scan.Scan() {
		t.Errorf("the checkpoint over %d records is %q", seq, got)
	}
}

func readJSON(t *testing.T, scan *bufio.Scanner, to any) {
	t.Helper()
	if !scan.Scan() {
		t.Fatalf("the export ends early: %v", scan.Err())
	}
	if err := json.Unmarshal(scan.Bytes(), to); err != nil {
		t.Fatal(err)
	}
}

// openIndependently verifies a note with one SM2 signature and returns its text.
func openIndependently(t *testing.T, note, vkey string) string {
	t.Helper()
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	sum := sm3.Sum(append([]byte(name+"\n"), key...))
	const kind = "\xffstrongroom/sm2-sm3"
	if fmt.Sprintf("%x", sum[:4]) != id || !bytes.HasPrefix(key, []byte(kind)) {
		t.Fatalf("verifier key %s: id %x", vkey, sum[:4])
	}
	public, err := sm2.NewPublicKey(key[len(kind):])
	if err != nil {
		t.Fatal(err)
	}
	text, signature, _ := strings.Cut(note, "\n\n")
	text += "\n"
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(signature, "— "+name+" "), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if binary.BigEndian.Uint32(sig) != binary.BigEndian.Uint32(sum[:]) || !sm2.VerifyASN1WithSM2(public, []byte("1234567812345678"), []byte(text), sig[4:]) {
		t.Fatal("the signature does not verify")
	}
	return text
}
