package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom.example/keystore"
)

// recordsKept is how many CMKs, and how many versions, are kept decoded: about 10 MB.
const recordsKept = 8192

// keyCache keeps decoded records of CMKs and their versions. An entry is valid only while
// the store's record has the version number at which the entry was read.
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

// load resolves an id or alias and returns the CMK.
func (v *Vault) load(ctx context.Context, name string) (*target, error) {
	id := name
	if _, ok := parseKeyID(name); !ok {
		if err := checkAlias(name); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrNotFound, err)
		}
		r, err := v.store.Get(ctx, aliasPath(name))
		if err != nil {
			return nil, missing(err, "alias "+name+seeListKeys)
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

// seeListKeys ends the text of an error about a CMK that does not exist.
const seeListKeys = "; ListKeys names those that are there"

// missing turns the store's ErrNotFound into this package's, with what as its text.
func missing(err error, what string) error {
	if errors.Is(err, keystore.ErrNotFound) {
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	}
	return err
}

// key returns the CMK with the given id.
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
		return nil, missing(err, "key "+id+seeListKeys)
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

// version returns version n of the CMK with the given id.
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

// makeRoom removes arbitrary entries from a cache that is full.
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
