package badger

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom.example/keystore"
)

const (
	childDir = "STRONGROOM_BADGER_CHILD"
	perBatch = 3
)

// writeUntilKilled is the child: batches of consecutive records, each batch's
// number printed once it is durable.
func writeUntilKilled(dir string) int {
	e, err := Open(dir)
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	next, err := batches(e)
	for ; err == nil; next++ {
		if err = e.Commit(context.Background(), numbered(next)); err == nil {
			fmt.Println(next)
		}
	}
	fmt.Println("commit:", err)
	return 1
}

func recordKey(n, i uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, n*perBatch+i)
}

func numbered(n uint64) keystore.Batch {
	var b keystore.Batch
	for i := range uint64(perBatch) {
		value := []byte(strings.Repeat(fmt.Sprint(n, "."), 1000))
		b.Put = append(b.Put, keystore.Pair{Key: recordKey(n, i), Value: value})
	}
	return b
}

// batches counts the whole batches in the store; a gap or a torn one is an error.
func batches(e keystore.Engine) (uint64, error) {
	var records uint64
	var after []byte
	for {
		pairs, err := e.Scan(context.Background(), nil, after, 1000)
		if err != nil {
			return 0, err
		}
		if len(pairs) == 0 {
			break
		}
		for _, p := range pairs {
			want := numbered(records / perBatch).Put[records%perBatch]
			if string(p.Key) != string(want.Key) || string(p.Value) != string(want.Value) {
				return 0, fmt.Errorf("record %d is another", records)
			}
			records++
			after = p.Key
		}
	}
	if records%perBatch != 0 {
		return 0, errors.New("a torn batch")
	}
	return records / perBatch, nil
}

// A process that is killed at any moment loses nothing acknowledged, tears no
// batch, and leaves a store that opens.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acknowledged uint64
	for cycle := range 12 {
		pause := time.Duration(20+rand.IntN(180)) * time.Millisecond
		acknowledged = max(acknowledged, child{childDir, dir, cycle%2 == 1}.runAndKill(t, pause))
		e, err := Open(dir)
		if err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
		found, err := batches(e)
		if err != nil || found < acknowledged {
			t.Fatalf("cycle %d: %d batches of %d acknowledged, %v", cycle, found, acknowledged, err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acknowledged == 0 {
		t.Fatal("no cycle got as far as a batch")
	}
	t.Log(acknowledged, "batches acknowledged")
}

// child is a process that is to be killed.
type child struct {
	kind, dir string // the variable that tells it what to do, and its value
	working   bool   // its time begins with its first line, not with its start
}

// runAndKill returns how many batches the child acknowledged in all.
func (c child) runAndKill(t *testing.T, pause time.Duration) (acknowledged uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), c.kind+"="+c.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if !c.working {
		timer.Reset(pause)
	}
	for first := c.working; lines.Scan(); first = false {
		if first {
			timer.Reset(pause)
		}
		n, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Errorf("child: %s", lines.Text())
			break
		}
		acknowledged = n + 1
	}
	_ = cmd.Wait()
	return acknowledged
}
