package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
)

// recordsKept is how many CMKs, and how many versions, are kept decoded: some 10 MB.
const recordsKept = 8192

// keyCache keeps decoded records of CMKs and their versions. An entry counts only
// while the store's record has the version it was read at.
type keyCache struct {
	store *keystore.Store
	mu    sync.RWMutex
	keys  map[string]target
	vers  map[string]cachedVersion
}

type cachedVersion struct {
	version
	record uint64
}

func newKeyCache(s *keystore.Store) *keyCache {
	return &keyCache{store: s, keys: map[string]target{}, vers: map[string]cachedVersion{}}
}

// load resolves a CMK id or alias and returns the CMK.
func (v *Vault) load(ctx context.Context, name string) (*target, error) {
	id := name
	if _, ok := parseKeyID(name); !ok {
		if err := checkAlias(name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		r, err := v.store.Get(ctx, aliasPath(name))
		if err != nil {
			return nil, missing(err, "key or alias "+name)
		}
		id = string(r.Value)
	}
	t, err := v.keys.key(ctx, id)
	if err != nil {
		return nil, err
	}
	v.expireView(t)
	return t, nil
}

// missing says in an ErrNotFound what was not found.
func missing(err error, what string) error {
	if errors.Is(err, keystore.ErrNotFound) {
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	}
	return err
}

// key returns the CMK with that id.
func (c *keyCache) key(ctx context.Context, id string) (*target, error) {
	path := keyPath(id)
	now := c.store.Version(path)
	c.mu.RLock()
	t, hit := c.keys[id]
	c.mu.RUnlock()
	if hit && now != 0 && t.record == now {
		return &t, nil
	}
	r, err := c.store.Get(ctx, path)
	if err != nil {
		return nil, missing(err, "key "+id)
	}
	k, err := decode[Key](path, r.Value)
	if err != nil {
		return nil, err
	}
	t = target{Key: k, record: r.Version}
	c.mu.Lock()
	makeRoom(c.keys)
	c.keys[id] = t
	c.mu.Unlock()
	return &t, nil
}

// version returns version n of the CMK with that id.
func (c *keyCache) version(ctx context.Context, id string, n uint32) (version, error) {
	path := versionPath(id, n)
	now := c.store.Version(path)
	c.mu.RLock()
	cached, hit := c.vers[path]
	c.mu.RUnlock()
	if hit && now != 0 && cached.record == now {
		return cached.version, nil
	}
	r, err := c.store.Get(ctx, path)
	if err != nil {
		return version{}, missing(err, fmt.Sprintf("version %d of key %s", n, id))
	}
	ver, err := decode[version](path, r.Value)
	if err != nil {
		return version{}, err
	}
	c.mu.Lock()
	makeRoom(c.vers)
	c.vers[path] = cachedVersion{ver, r.Version}
	c.mu.Unlock()
	return ver, nil
}

// makeRoom drops some entries, whichever, of a cache that is full.
func makeRoom[E any](cache map[string]E) {
	if len(cache) < recordsKept {
		return
	}
	for name := range cache {
		if len(cache) <= recordsKept*7/8 {
			return
		}
		delete(cache, name)
	}
}

// handlesKept is how many opened keys are kept when nobody uses them.
const handlesKept = 1024

// handles keeps keys of drivers open between operations.
type handles struct {
	mu   sync.Mutex
	open map[driver.MaterialID]*handle
	// retired material is being destroyed and is not kept open any more.
	retired map[driver.MaterialID]bool
}

// handle is one opened key; users counts those who hold it.
type handle struct {
	key   driver.Key
	users int
}

func newHandles() *handles {
	return &handles{open: map[driver.MaterialID]*handle{}, retired: map[driver.MaterialID]bool{}}
}

// take returns an open handle; give it back.
func (h *handles) take(id driver.MaterialID) (*handle, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.open[id]
	if ok {
		one.users++
	}
	return one, ok
}

// put keeps a newly opened key and returns its handle, or the one that another
// goroutine opened before.
func (h *handles) put(id driver.MaterialID, key driver.Key) *handle {
	one, idle := h.keep(id, key)
	closeKeys(idle)
	return one
}

// keep is put, but for the keys that are to be closed: a device takes its time, and
// nobody shall wait for it with the lock held.
func (h *handles) keep(id driver.MaterialID, key driver.Key) (one *handle, idle []driver.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one, ok := h.open[id]; ok {
		one.users++
		return one, []driver.Key{key}
	}
	one = &handle{key, 1}
	if h.retired[id] {
		return one, []driver.Key{key}
	}
	if len(h.open) >= handlesKept {
		idle = h.evict(handlesKept / 8)
	}
	h.open[id] = one
	return one, idle
}

func closeKeys(keys []driver.Key) {
	for _, key := range keys {
		key.Close()
	}
}

func (h *handles) give(one *handle) {
	h.mu.Lock()
	one.users--
	h.mu.Unlock()
}

// evict takes out up to n handles that nobody uses, for the caller, who holds the lock,
// to close.
func (h *handles) evict(n int) (idle []driver.Key) {
	for id, one := range h.open {
		if len(idle) == n {
			break
		}
		if one.users == 0 {
			idle = append(idle, one.key)
			delete(h.open, id)
		}
	}
	return idle
}

// trim closes every handle that nobody uses, to free locked memory.
func (h *handles) trim() {
	h.mu.Lock()
	idle := h.evict(len(h.open))
	h.mu.Unlock()
	closeKeys(idle)
}

// retire closes the key of material that is to be destroyed, once running calls
// have ended. From then on it is never kept open.
func (h *handles) retire(id driver.MaterialID) {
	h.mu.Lock()
	one := h.open[id]
	h.retired[id] = true
	delete(h.open, id)
	h.mu.Unlock()
	if one != nil {
		one.key.Close()
	}
}

// isRetired reports whether material is being destroyed.
func (h *handles) isRetired(id driver.MaterialID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.retired[id]
}

func (h *handles) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, one := range h.open {
		one.key.Close()
		delete(h.open, id)
	}
}

// withKey runs use, with retry, on the opened material of a key version.
func withKey[K driver.Key](ctx context.Context, v *Vault, ver version, use func(context.Context, K) error) error {
	id, err := ver.material()
	if err != nil {
		return err
	}
	return Retry(ctx, func(ctx context.Context) error {
		one, err := v.handle(ctx, id, ver)
		if err != nil {
			return err
		}
		defer v.handles.give(one)
		key, ok := one.key.(K)
		if !ok {
			return fmt.Errorf("%w: driver %q gave a key that is not for %s", ErrUnavailable, ver.Driver, ver.DeviceUse)
		}
		return use(ctx, key)
	})
}

// prf runs the PRF of a key version on input and appends the output to dst.
func (v *Vault) prf(ctx context.Context, ver version, dst, input []byte) (out []byte, err error) {
	err = withKey(ctx, v, ver, func(ctx context.Context, key driver.PRF) (err error) {
		out, err = key.PRF(ctx, dst, input)
		return err
	})
	return out, err
}

// handle returns the open handle of a key version, opening it if need be.
func (v *Vault) handle(ctx context.Context, id driver.MaterialID, ver version) (*handle, error) {
	if one, ok := v.handles.take(id); ok {
		return one, nil
	}
	if v.handles.isRetired(id) {
		return nil, fmt.Errorf("%w: material of key %s", ErrNotFound, ver.Key)
	}
	d, ok := v.drivers[ver.Driver]
	if !ok {
		return nil, fmt.Errorf("%w: the vault was opened without driver %q", ErrUnavailable, ver.Driver)
	}
	r, err := v.store.Get(ctx, materialPath(id))
	if err != nil {
		return nil, missing(err, "material of key "+ver.Key)
	}
	key, err := d.OpenKey(ctx, id, ver.spec(), driver.Blob(r.Value))
	if errors.Is(err, lockedmem.ErrExhausted) {
		v.handles.trim()
		key, err = d.OpenKey(ctx, id, ver.spec(), driver.Blob(r.Value))
	}
	if err != nil {
		return nil, err
	}
	return v.handles.put(id, key), nil
}
