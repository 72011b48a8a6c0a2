package vault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/smalldisk"
)

// fullDisks, set to "all" by a person, runs TestFullDisk on disks of three sizes with a long
// storm.
const fullDisks = "STRONGROOM_FULL_DISKS"

// TestFullDisk fills a small disk by the vault and by a neighbour, who then fills and frees
// it in a storm while the vault works, closes and opens. The process does not die, the
// errors are ErrStorageFull, decryption works above the hard mark, nothing acknowledged is
// lost, and writing resumes without a restart.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	sizes, storm := []int{64}, time.Second
	if heavy.All(t, fullDisks) {
		sizes, storm = []int{64, 128, 256}, 20*time.Second
	}
	for _, kind := range []string{"tmpfs", "ext4"} {
		for _, size := range sizes {
			for _, minFree := range []uint64{0, 1 << 20} {
				t.Run(fmt.Sprintf("%s/%d/%d", kind, size, minFree), func(t *testing.T) {
					t.Parallel()
					onFullDisk(t, kind, size, Config{Edition: testEdition(), MinFree: minFree}, storm)
				})
			}
		}
	}
}

func onFullDisk(t *testing.T, kind string, size int, cfg Config, storm time.Duration) {
	var disk string
	if kind == "tmpfs" {
		disk = smalldisk.Tmpfs(t, fmt.Sprintf("size=%dm", size))
	} else {
		disk = smalldisk.Make(t, kind, size).Dir
	}
	d := &fullDisk{t: t, disk: disk, dir: filepath.Join(disk, "v"), cfg: cfg}
	v, err := Create(t.Context(), d.dir, cfg, passphrase(t, "correct horse"))
	must(t, err)
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "busy"})
	d.use(v)
	d.fillByVault()
	d.belowSoftMark()
	d.belowHardMark()
	d.inAStorm(storm)
	must(t, d.v.Close())
	d.open()
	checkAcknowledged(t, d.v, "at the end", d.lines)
	must(t, d.v.Close())
}

// fullDisk is a vault on a small disk.
type fullDisk struct {
	t    *testing.T
	disk string // the mount
	dir  string // the vault's
	cfg  Config
	v    *Vault
	s    *session
	// acted has a value when a call has ended in a storm, if the neighbour waits for it.
	acted chan struct{}

	mu    sync.Mutex
	lines []string
}

// use takes an open vault. The number of the last tag is kept, because the vault may be
// unable to say it.
func (d *fullDisk) use(v *Vault) {
	n := 0
	if d.s != nil {
		n = d.s.n
	}
	d.v, d.s = v, newSession(d.t, v, d.dir, d.report)
	d.s.n = max(d.s.n, n)
}

// open opens the vault, for which there is room.
func (d *fullDisk) open() {
	d.t.Helper()
	v, err := Open(d.t.Context(), d.dir, d.cfg, passphrase(d.t, "correct horse"))
	must(d.t, err)
	d.use(v)
}

func (d *fullDisk) report(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// marks are the free space below which the vault makes nothing, and below which it does
// nothing.
func (d *fullDisk) marks() (soft, hard int64) {
	soft = int64(d.cfg.MinFree)
	if soft == 0 {
		soft = 16 << 20
	}
	return soft, min(soft, max(soft/4, 4<<20))
}

func (d *fullDisk) free() int64 {
	var s unix.Statfs_t
	must(d.t, unix.Statfs(d.disk, &s))
	return int64(s.Bavail) * int64(s.Bsize)
}

// leave makes the neighbour take all but some bytes, and 0 frees all.
func (d *fullDisk) leave(bytes int64) {
	d.t.Helper()
	must(d.t, d.neighbour(bytes))
}

func (d *fullDisk) neighbour(leave int64) error {
	path := filepath.Join(d.disk, "neighbour")
	if leave == 0 {
		return os.RemoveAll(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for piece := make([]byte, 256<<10); d.free() > leave; {
		if _, err := f.Write(piece[:min(int64(len(piece)), max(4096, d.free()-leave))]); err != nil {
			return err
		}
		if err := f.Sync(); err != nil { // until then ext4 has no blocks for it
			return err
		}
	}
	return nil
}

// fillByVault leaves the vault little room and lets it fill that.
func (d *fullDisk) fillByVault() {
	soft, _ := d.marks()
	d.leave(soft + 3<<20)
	var err error
	for n := 0; err == nil && n < 4000; n++ {
		if err = sessionActs["create"](d.s); err == nil {
			err = sessionActs["tag"](d.s)
		}
		if n%50 == 49 { // a merge may free as much as the vault takes
			d.leave(max(soft-1, d.free()-64<<10))
		}
	}
	if !errors.Is(err, ErrStorageFull) {
		d.t.Errorf("filling the disk ended with %v, want ErrStorageFull", err)
	}
}

// belowSoftMark expects what is promised there, before and after the vault is opened again.
func (d *fullDisk) belowSoftMark() {
	d.leave(0)
	must(d.t, sessionActs["encrypt"](d.s))
	ct, err := d.s.client.Encrypt(d.t.Context(), "busy", []byte("y"), nil)
	must(d.t, err)
	soft, hard := d.marks()
	if soft == hard {
		return
	}
	d.leave(soft - 2<<20)
	for range 2 {
		if _, err := d.s.client.Encrypt(d.t.Context(), "busy", nil, nil); !errors.Is(err, ErrStorageFull) {
			d.t.Errorf("Encrypt below the soft mark: %v, want ErrStorageFull", err)
		}
		if plain, err := d.s.client.Decrypt(d.t.Context(), ct, nil); err != nil || string(plain) != "y" {
			d.t.Errorf("Decrypt below the soft mark: %q, %v; want the plaintext", plain, err)
		}
		if err := d.v.Close(); err != nil {
			d.t.Errorf("Close below the soft mark: %v", err)
		}
		d.open()
	}
}

// belowHardMark: nothing is done and nothing is lost, also if the vault is closed there; and
// the same vault goes on when there is room.
func (d *fullDisk) belowHardMark() {
	_, hard := d.marks()
	d.leave(0)
	must(d.t, sessionActs["tag"](d.s))
	d.leave(hard / 2)
	c := d.s.client
	if _, err := c.DescribeKey(d.t.Context(), "busy"); !errors.Is(err, ErrStorageFull) {
		d.t.Errorf("DescribeKey below the hard mark: %v, want ErrStorageFull", err)
	}
	d.leave(0)
	must(d.t, sessionActs["encrypt"](d.s))
	d.leave(4096)
	if err := d.v.Close(); err != nil && !errors.Is(err, ErrStorageFull) {
		d.t.Errorf("Close on a full disk: %v, want nil or ErrStorageFull", err)
	}
	if v, err := Open(d.t.Context(), d.dir, d.cfg, passphrase(d.t, "correct horse")); !errors.Is(err, ErrStorageFull) {
		d.t.Errorf("Open on a full disk: %v, want ErrStorageFull", err)
		if err == nil {
			v.Close()
		}
	}
	d.leave(0)
	d.open()
}

// inAStorm works while the neighbour fills and frees, and closes and opens the vault now and
// then.
func (d *fullDisk) inAStorm(length time.Duration) {
	var storm sync.WaitGroup
	stop := make(chan struct{})
	d.acted = make(chan struct{})
	// wait waits for up to n calls, and returns false at the end of the storm.
	wait := func(n int) bool {
		for range 1 + rand.N(n) {
			select {
			case <-d.acted:
			case <-stop:
				return false
			}
		}
		return true
	}
	storm.Go(func() {
		for going := true; going; {
			err := d.neighbour(4096)
			if err != nil && !errors.Is(err, unix.ENOSPC) {
				d.t.Error("the neighbour:", err)
			}
			going = wait(8)
			must(d.t, os.RemoveAll(filepath.Join(d.disk, "neighbour")))
			going = going && wait(16)
		}
	})
	end := sync.OnceFunc(func() { close(stop); storm.Wait() })
	defer end()
	var refused, done, reopened int
	for over := time.Now().Add(length); time.Now().Before(over); {
		d.stretch(&refused, &done)
		if err := d.v.Close(); err != nil && !errors.Is(err, ErrStorageFull) {
			d.t.Errorf("Close in the storm: %v", err)
		}
		for {
			v, err := Open(context.Background(), d.dir, d.cfg, passphrase(d.t, "correct horse"))
			d.act()
			if err == nil {
				d.use(v)
				break
			}
			if !errors.Is(err, ErrStorageFull) {
				d.t.Fatalf("Open in the storm: %v, want ErrStorageFull", err)
			}
		}
		reopened++
	}
	d.stretch(&refused, &done)
	end()
	d.leave(0)
	for name, act := range sessionActs {
		if name == "delete" || name == "root" || name == "protectors" || name == "save" {
			continue
		}
		if err := act(d.s); err != nil {
			d.t.Errorf("%s after the storm: %v, want nil without a restart", name, err)
		}
	}
	d.t.Logf("%d operations, %d refused, %d times opened, in the storm", done, refused, reopened)
}

// stretch does some operations.
func (d *fullDisk) stretch(refused, done *int) {
	for range 40 {
		for _, name := range []string{"tag", "encrypt", "create", "rotate"} {
			err := sessionActs[name](d.s)
			d.act()
			switch {
			case err == nil:
				*done++
			case errors.Is(err, ErrStorageFull):
				*refused++
			default:
				d.t.Fatalf("%s in the storm: %v, want ErrStorageFull", name, err)
			}
		}
	}
}

// act tells the neighbour of a storm that a call has ended.
func (d *fullDisk) act() {
	select {
	case d.acted <- struct{}{}:
	default:
	}
}
