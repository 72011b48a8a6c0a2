package usecount_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"strongroom.example/internal/usecount"
)

func version(n int) (v usecount.Version) {
	binary.BigEndian.PutUint32(v.Key[:], uint32(n/4))
	v.Number = uint32(n%4) + 1
	return v
}

// event is a use on record.
type event struct {
	version usecount.Version
	kind    usecount.Kind
	at      time.Time
}

// newLog returns the uses of many versions.
func newLog(r *rand.Rand, n int) (log []event) {
	for i := range n {
		log = append(log, event{version(r.IntN(900)), usecount.Kind(r.IntN(2)), time.Unix(int64(i), 0).UTC()})
	}
	return log
}

// count counts the log without a Table.
func count(log []event) map[usecount.Version]usecount.Count {
	all := map[usecount.Version]usecount.Count{}
	for _, e := range log {
		c := all[e.version]
		if e.kind == usecount.Protect {
			c.Protected, c.LastProtected = c.Protected+1, e.at
		} else {
			c.Processed, c.LastProcessed = c.Processed+1, e.at
		}
		all[e.version] = c
	}
	return all
}

// TestReplay stores chunks at different points of the log, some of them not at all, loads
// what is stored and replays the log from the oldest of these points. Each use is counted
// once.
func TestReplay(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		log := newLog(r, 3000)
		live, stored, through := usecount.New(), map[int][]byte{}, uint64(0)
		for seq, e := range log {
			if r.IntN(200) == 0 { // the caller stores some of the chunks, and then the point
				all := true
				for _, n := range live.Changed() {
					if r.IntN(4) == 0 {
						all = false
						continue
					}
					value, saved := live.Encode(n, uint64(seq))
					stored[n] = value
					saved()
				}
				if all {
					through = uint64(seq)
				}
			}
			live.Add(uint64(seq), e.version, e.kind, e.at)
		}
		again := usecount.New()
		for n := range len(stored) {
			if stored[n] == nil {
				break // then through is 0, and the whole log is replayed
			}
			if err := again.Load(stored[n]); err != nil {
				t.Fatal(err)
			}
		}
		for seq := through; seq < uint64(len(log)); seq++ {
			again.Add(seq, log[seq].version, log[seq].kind, log[seq].at)
		}
		for v, want := range count(log) {
			if got := live.Of(v); got != want {
				t.Fatalf("%v: %+v, want %+v", v, got, want)
			}
			if got := again.Of(v); got != want {
				t.Fatalf("%v after a replay from %d: %+v, want %+v", v, through, got, want)
			}
		}
	}
}

// TestSaved: a use that is added while a chunk is being stored makes the chunk differ from
// what is stored.
func TestSaved(t *testing.T) {
	t.Parallel()
	table := usecount.New()
	table.Add(0, version(1), usecount.Protect, time.Unix(1, 0))
	_, saved := table.Encode(0, 1)
	table.Add(1, version(1), usecount.Protect, time.Unix(2, 0))
	if saved(); len(table.Changed()) != 1 {
		t.Error("the chunk is taken for stored")
	}
	if _, saved = table.Encode(0, 2); len(table.Changed()) != 1 {
		t.Error("the chunk is taken for stored before it is")
	}
	if saved(); len(table.Changed()) != 0 {
		t.Error("the chunk differs from what was stored")
	}
}

// golden is a chunk of one version.
const golden = "01" + "0000000000000102" +
	"000102030405060708090a0b0c0d0e0f" + "00000003" +
	"0000000000000002" + "0000000000000007" + "0000000000000001" + "fffffffffffffff7"

func TestGolden(t *testing.T) {
	t.Parallel()
	value, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	table := usecount.New()
	if err := table.Load(value); err != nil {
		t.Fatal(err)
	}
	v := usecount.Version{Number: 3}
	for i := range v.Key {
		v.Key[i] = byte(i)
	}
	want := usecount.Count{Protected: 2, Processed: 1, LastProtected: time.UnixMicro(7).UTC(), LastProcessed: time.UnixMicro(-9).UTC()}
	if got := table.Of(v); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if again, _ := table.Encode(0, 0x102); !bytes.Equal(again, value) {
		t.Errorf("%x, want %x", again, value)
	}
	table.Add(0x101, v, usecount.Protect, time.Unix(9, 0))
	if got := table.Of(v); got != want {
		t.Errorf("after a record that the chunk covers: %+v, want %+v", got, want)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	value, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(value)
	other[0]++
	row := value[9:]
	for name, bad := range map[string][]byte{
		"empty": nil, "no row": value[:9], "short": value[:len(value)-1], "another format": other,
		"a version twice": append(bytes.Clone(value), row...),
		"too many rows":   append(bytes.Clone(value[:9]), make([]byte, len(row)*(usecount.ChunkRows+1))...),
	} {
		if err := usecount.New().Load(bad); !errors.Is(err, usecount.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}
