package soft

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// demanding returns a blob of this vault that demands the given work.
func demanding(t *testing.T, p *PassphraseProtector, b driver.Binding, passes, memory uint32) driver.Blob {
	t.Helper()
	blob, err := p.Protect(t.Context(), b, make([]byte, rootSize))
	if err != nil {
		t.Fatal(err)
	}
	id := suite.ID(blob[5])
	binary.BigEndian.PutUint32(blob[7:], passes)
	binary.BigEndian.PutUint32(blob[11:], memory)
	copy(blob[checkAt:], checksum(id, blob[:checkAt], b))
	return blob
}

// TestWorkEndsWithContext checks that Recover returns when the context ends, whatever
// work the blob demands, and that the protector can be wiped at once.
func TestWorkEndsWithContext(t *testing.T) {
	for edition, row := range map[driver.Edition][2]uint32{
		driver.Standard: {16, 64 << 10}, driver.FIPS: {2_000_000, 0}, driver.SM: {300_000, 0},
	} {
		if edition == driver.SM && !suite.SM.Usable() {
			continue
		}
		b := driver.Binding{Edition: edition}
		p := PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("p"))
		blob := demanding(t, p, b, row[0], row[1])
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := p.Recover(ctx, nil, b, blob)
		p.Wipe()
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v: Recover: %v, want %v", edition, err, context.DeadlineExceeded)
		}
	}
	for range cap(stretchers) { // wait for the stretchings that continue in the background
		stretchers <- struct{}{}
	}
	for range cap(stretchers) {
		<-stretchers
	}
}

// TestWork checks that Work returns the cost of a blob, and 0 for a blob that Recover
// rejects.
func TestWork(t *testing.T) {
	p := PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("p"))
	for _, row := range []struct {
		edition        driver.Edition
		passes, memory uint32
		want           uint64
	}{
		{driver.Standard, 3, 64 << 10, 192},
		{driver.Standard, 16, 1 << 20, 16384},
		{driver.Standard, 1, 8, 1},
		{driver.Standard, 17, 1 << 20, 0},
		{driver.FIPS, 600_000, 0, 200},
		{driver.FIPS, 10_000_000, 0, 3334},
		{driver.FIPS, 10_000_001, 0, 0},
	} {
		b := driver.Binding{Edition: row.edition}
		blob := demanding(t, p, b, row.passes, row.memory)
		if got := p.Work(b, blob); got != row.want {
			t.Errorf("%v, %d passes over %d KiB: %d units, want %d", row.edition, row.passes, row.memory, got, row.want)
		}
		other := driver.Binding{Edition: row.edition, VaultID: [16]byte{1}}
		if got := p.Work(other, blob); got != 0 {
			t.Errorf("another vault's blob: %d units, want 0", got)
		}
	}
}
