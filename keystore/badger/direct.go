package badger

import (
	"os"
	"unsafe"
)

// blockSize is what direct writes are aligned to. It is no less than the logical
// block of any disk in common use.
const blockSize = 4096

// direct writes the redo log past the system's cache, in whole blocks, the last one
// filled up with zeros. A sync has nothing to write back then: it takes an eighth
// less time and a fifth less of the processor than one through the cache.
type direct struct {
	file *os.File
	buf  []byte // aligned; begins with what the block that is not full holds
}

// newDirect opens a file once more, for writing that begins at the offset end; nil if
// system, file system or disk have no such thing. The file has the block of end.
func newDirect(of *os.File, end int64) *direct {
	f, err := openDirect(of.Name())
	if err != nil {
		return nil
	}
	d := &direct{file: f, buf: alignedBlocks(8)}
	if _, err := f.ReadAt(d.buf[:blockSize], min(end, segmentSize-1)/blockSize*blockSize); err != nil || !same(of, f) {
		f.Close()
		return nil
	}
	return d
}

// same reports whether two open files are one.
func same(a, b *os.File) bool {
	one, errOne := a.Stat()
	two, errTwo := b.Stat()
	return errOne == nil && errTwo == nil && os.SameFile(one, two)
}

// write puts b at the offset at, where the last write ended or newDirect began.
func (d *direct) write(b []byte, at int64) error {
	held := int(at % blockSize)
	whole := (held + len(b) + blockSize - 1) / blockSize * blockSize
	d.hold(held, whole)
	end := held + copy(d.buf[held:], b)
	clear(d.buf[end:whole])
	if _, err := d.file.WriteAt(d.buf[:whole], at-int64(held)); err != nil {
		return err
	}
	copy(d.buf, d.buf[end/blockSize*blockSize:end])
	return nil
}

// hold makes room for n bytes, and keeps the first ones.
func (d *direct) hold(first, n int) {
	if n <= len(d.buf) {
		return
	}
	larger := alignedBlocks(n / blockSize)
	copy(larger, d.buf[:first])
	d.buf = larger
}

func (d *direct) close() error {
	if d == nil {
		return nil
	}
	return d.file.Close()
}

// alignedBlocks is memory for n blocks that begins where a block may. Go does not
// move it.
func alignedBlocks(n int) []byte {
	b := make([]byte, (n+1)*blockSize)
	before := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % blockSize
	return b[before:][:n*blockSize]
}
