package suite

import (
	"runtime"
	"sync"
	"unsafe"

	"strongroom.example/internal/lockedmem"
)

const (
	// blockSize is the block size of SHA-256 and of SM3.
	blockSize = 64
	// shortMessage is the longest message that is hashed or MACed in a workspace.
	shortMessage = 512
)

// A workspace is memory that holds a key while a MAC is computed with it. It is locked
// memory, because the stack of a goroutine and the heap cannot be wiped reliably: a stack
// that grows leaves a copy of itself behind.
type workspace struct {
	inner [blockSize + shortMessage]byte // key ⊕ ipad ‖ message
	outer [blockSize + HashSize]byte     // key ⊕ opad ‖ inner hash
	block [HashSize]byte                 // the result
}

// workspaces is the pool of the process. Its workspaces are never unmapped.
var workspaces = newWorkspacePool()

// workspacePool lends at most max workspaces at a time. More are not needed, because a
// holder only computes.
type workspacePool struct {
	mu    sync.Mutex
	given sync.Cond // signalled when a workspace is returned
	arena *lockedmem.Arena
	free  []*workspace
	made  int
	max   int
}

func newWorkspacePool() *workspacePool {
	p := &workspacePool{arena: lockedmem.Process, max: 2 * runtime.NumCPU()}
	p.given.L = &p.mu
	return p
}

// take returns a zeroed workspace, which the caller returns by give.
func (p *workspacePool) take() *workspace {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.free) == 0 && p.made >= p.max {
		p.given.Wait()
	}
	if n := len(p.free); n > 0 {
		w := p.free[n-1]
		p.free = p.free[:n-1]
		return w
	}
	p.made++
	return p.make()
}

// make returns a new workspace. If no memory can be locked the workspace is on the heap,
// and is wiped after each use all the same.
func (p *workspacePool) make() *workspace {
	buf, err := p.arena.Alloc(int(unsafe.Sizeof(workspace{})))
	if err != nil {
		return new(workspace)
	}
	return (*workspace)(unsafe.Pointer(unsafe.SliceData(buf.Bytes())))
}

// give wipes a workspace and returns it to the pool.
func (p *workspacePool) give(w *workspace) {
	*w = workspace{}
	runtime.KeepAlive(w)
	p.mu.Lock()
	p.free = append(p.free, w)
	p.mu.Unlock()
	p.given.Signal()
}

// stackDepth is the size of the stack that the hashes need, and that clearStack clears.
const stackDepth = 2 << 10

// growStack grows the stack to the depth that the caller needs, before a secret is on it.
// The array costs nothing unless used is true, which it never is.
//
//go:noinline
func growStack(used bool) {
	if used {
		var space [2 * stackDepth]byte
		runtime.KeepAlive(&space)
	}
}

// clearStack overwrites the stack that functions called by the caller have used.
//
//go:noinline
func clearStack() {
	var space [stackDepth]byte // Go zeroes it
	runtime.KeepAlive(&space)
}
