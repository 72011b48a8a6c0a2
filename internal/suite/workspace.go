package suite

import (
	"runtime"
	"sync"
	"unsafe"

	"strongroom.example/internal/lockedmem"
)

const (
	// blockSize is the block of SHA-256 and of SM3.
	blockSize = 64
	// shortMessage is how long a message can be that is hashed or MACed in a workspace.
	shortMessage = 512
)

// A workspace is memory in which a key stands while a MAC is made with it. It is locked
// memory, because what is on a goroutine's stack or on the heap cannot be wiped for
// certain: a stack that grows leaves a copy of itself behind.
type workspace struct {
	inner [blockSize + shortMessage]byte // key ⊕ ipad ‖ message
	outer [blockSize + HashSize]byte     // key ⊕ opad ‖ inner hash
	block [HashSize]byte                 // the result
}

// workspaces are those of the process. They are never unmapped.
var workspaces = newWorkspacePool()

// workspacePool hands out at most max workspaces at a time. More are not needed:
// whoever has one only computes.
type workspacePool struct {
	mu    sync.Mutex
	given sync.Cond // signalled when one is given back
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

// take returns a zeroed workspace, which the caller gives back.
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

// make returns a new workspace. Where no memory can be locked it is on the heap, where
// it stays and is wiped after each use all the same.
func (p *workspacePool) make() *workspace {
	buf, err := p.arena.Alloc(int(unsafe.Sizeof(workspace{})))
	if err != nil {
		return new(workspace)
	}
	return (*workspace)(unsafe.Pointer(unsafe.SliceData(buf.Bytes())))
}

// give wipes a workspace and takes it back.
func (p *workspacePool) give(w *workspace) {
	*w = workspace{}
	runtime.KeepAlive(w)
	p.mu.Lock()
	p.free = append(p.free, w)
	p.mu.Unlock()
	p.given.Signal()
}

// stackDepth is how much stack the hashes need, and clearStack clears.
const stackDepth = 2 << 10

// growStack makes the stack as deep as the caller needs it, before a secret is on it.
// The array costs nothing unless used is true, which it never is.
//
//go:noinline
func growStack(used bool) {
	if used {
		var space [2 * stackDepth]byte
		runtime.KeepAlive(&space)
	}
}

// clearStack overwrites what the functions that the caller called before have left on
// the stack.
//
//go:noinline
func clearStack() {
	var space [stackDepth]byte // Go zeroes it
	runtime.KeepAlive(&space)
}
