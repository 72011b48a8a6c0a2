package keystore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/osfile"
)

// Engine keeps sealed records on disk. It sees neither paths nor plaintext: keys are
// opaque, and values are sealed. An Engine is safe for concurrent use. storetest.Run
// tests an engine against this contract.
type Engine interface {
	// Get returns a copy of the value under key, or ErrNotFound.
	Get(ctx context.Context, key []byte) ([]byte, error)
	// Scan returns at most limit pairs whose keys start with prefix and are greater than
	// after (nil: from the start), in byte order of their keys. The pairs are copies.
	Scan(ctx context.Context, prefix, after []byte, limit int) ([]Pair, error)
	// Commit applies the batch as a whole or not at all, and returns once it is durable.
	// It keeps no slice of the batch after it returns. Errors, both of which change
	// nothing:
	//   - ErrConflict: an expectation does not hold.
	//   - ErrTooLarge: the batch is larger than MaxBatch.
	Commit(ctx context.Context, b Batch) error
	// Trim removes every key below the given one and releases the disk space that only
	// those keys take. Commits may run during the call. After nil no Get or Scan returns
	// such a key, after a crash either. After an error some of the keys may be there, and
	// the caller repeats the call.
	Trim(ctx context.Context, below []byte) error
	// MaxBatch returns the largest size of a batch, in bytes as Batch.Size counts them.
	MaxBatch() int
	// Close releases the store. Every later call returns ErrClosed. Close returns ErrFull if it
	// has no disk space for its last writes: all committed data is then safe, the store is not
	// released, and Close may be called again.
	Close() error
}

// EngineConfig is the argument for opening an engine that authenticates the files in
// which it keeps the sealed records.
type EngineConfig struct {
	Dir string
	// MAC is a MAC of 32 bytes over its parts, with a key of the store. The engine must
	// not call it after its first Close has returned, even if that returned ErrFull,
	// because the store then wipes the key.
	MAC func(parts ...[]byte) [32]byte
}

// RekeyEngine is implemented by an engine that authenticates its files. Rekey replaces
// the MAC with which it does so. A crash during Rekey may leave files that neither MAC
// opens.
type RekeyEngine interface {
	Rekey(mac func(parts ...[]byte) [32]byte) error
}

// Salvaged is an entry that was read from the files of an engine that may be damaged. Its
// Value is nil if the entry says that the key was deleted. At orders the entries of one
// key; the newest has the highest.
type Salvaged struct {
	Key, Value []byte
	At         uint64
}

// Pair is one key and its value. A value is never empty.
type Pair struct{ Key, Value []byte }

// Expectation is a condition of a batch: key holds exactly value, or is absent if value
// is nil.
type Expectation struct{ Key, Value []byte }

// Batch is one atomic change. No key appears in it twice.
type Batch struct {
	Expect []Expectation
	Put    []Pair
	Delete [][]byte
}

// Size returns the number of bytes that count towards Engine.MaxBatch: the keys and
// values put, and the keys deleted.
func (b Batch) Size() int {
	n := 0
	for _, p := range b.Put {
		n += len(p.Key) + len(p.Value)
	}
	for _, k := range b.Delete {
		n += len(k)
	}
	return n
}

// LogState is the state of the audit log: its size, the root of its tree, the
// tree's frontier, and the size at the last checkpoint.
type LogState struct {
	Size       uint64
	Root       [32]byte
	Frontier   [][32]byte
	Checkpoint uint64
}

// An Appender computes the next state of the log's tree from new leaves. Size, root
// and frontier depend on the input alone, and it keeps none of the leaves. Whether Extend makes a
// checkpoint may also depend on a key, and its signature may differ. The goroutine that commits
// calls Extend once for each batch with leaves; Check calls it over the whole log.
type Appender interface {
	Extend(from LogState, leaves [][]byte) (Extension, error)
}

// Extension is the result of Extend: the new state, and the records to store in the same
// batch.
type Extension struct {
	State LogState
	Put   []SideRecord
}

// SideRecord is an ordinary record, of class Meta, that belongs to the log:
// an inner node or a checkpoint.
type SideRecord struct {
	Path  string
	Value []byte
}

func (s LogState) clone() LogState {
	s.Frontier = append([][32]byte(nil), s.Frontier...)
	return s
}

// openEngine opens the engine in its directory, which is made if it is absent. Where the
// system has paths that go through an open handle, the engine gets such a path: every
// file that it opens, renames or removes is then in this directory, even if another
// directory is put in its place.
func (s *Store) openEngine() error {
	err := s.dir.Make(s.named(engineDir))
	if err != nil {
		return fault.Environment("make", s.dir.Join(s.named(engineDir)), err)
	}
	if s.inner, err = s.dir.OpenDir(s.named(engineDir)); err != nil {
		return err
	}
	s.engineNames = s.inner.Watch()
	path, release := osfile.HandlePath(s.inner.File(), s.inner.Path())
	s.enginePath, s.freeEnginePath = path, release
	e, err := s.newEngine(path)
	if err != nil {
		return fault.Environment("open the engine in", s.inner.Path(), errors.Join(s.engineError(err), release()))
	}
	s.engine = e
	return s.inner.RestrictAll()
}

// engineError returns an error of the engine with the path of the engine's directory in place of
// the path through which the engine was opened. Every error of the engine passes it.
func (s *Store) engineError(err error) error {
	if err == nil || s.enginePath == s.inner.Path() {
		return err
	}
	return &placedError{err: err, handle: s.enginePath, path: s.inner.Path()}
}

// getSealed returns the sealed record under an engine key, or ErrNotFound.
func (s *Store) getSealed(ctx context.Context, key []byte) ([]byte, error) {
	value, err := s.engine.Get(ctx, key)
	return value, s.engineError(err)
}

// scanSealed returns sealed records with their engine keys, as Engine.Scan does.
func (s *Store) scanSealed(ctx context.Context, prefix, after []byte, limit int) ([]Pair, error) {
	pairs, err := s.engine.Scan(ctx, prefix, after, limit)
	return pairs, s.engineError(err)
}

// closeEngine closes the engine. It releases the handle only after a clean Close, because an
// engine that failed may continue to use its path, which would name another file once the
// descriptor number is reused. An engine without a handle is not closed at all if its path
// names another directory, because it would write there; its files stay locked until the
// process ends.
func (s *Store) closeEngine() error {
	if s.enginePath == s.inner.Path() {
		if err := errors.Join(s.dir.IsHere(), s.dir.IsAt(s.named(engineDir), s.inner.File())); err != nil {
			return fmt.Errorf("%w; the engine was not closed", err)
		}
	}
	err := s.engine.Close()
	if err == nil {
		err = s.freeEnginePath()
		s.freeEnginePath = func() error { return nil }
	}
	return s.engineError(err)
}

// placedError is an engine's error whose text has the path of the directory in place of
// the path of the handle.
type placedError struct {
	err          error
	handle, path string
}

// Error returns the engine's text with the directory's path.
func (e *placedError) Error() string { return strings.ReplaceAll(e.err.Error(), e.handle, e.path) }

// Unwrap returns the engine's error.
func (e *placedError) Unwrap() error { return e.err }

// newEngine opens the engine in dir. It tries the secret of each unlocked root file. They
// normally belong to the same store and share one secret; the secret of another store
// does not open the engine.
func (s *Store) newEngine(dir string) (e Engine, err error) {
	if s.cfg.OpenKeyedEngine == nil {
		return s.cfg.OpenEngine(dir)
	}
	if s.keys == nil && len(s.unlocked) == 0 {
		return s.newEngineUnderAnyKey(dir)
	}
	var tried []*keyring.Keyring
	for _, k := range s.keyrings() {
		if len(tried) > 0 && tried[len(tried)-1].SameSecret(k) {
			continue
		}
		tried = append(tried, k)
		mac, macErr := s.engineMAC(k)
		if macErr != nil {
			return nil, macErr
		}
		if e, err = s.cfg.OpenKeyedEngine(EngineConfig{Dir: dir, MAC: mac}); err == nil {
			return e, nil
		}
		if !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
	}
	return nil, err
}

// keyrings returns the keyring in force or, while the store is being opened, those of all
// unlocked root files.
func (s *Store) keyrings() (all []*keyring.Keyring) {
	if s.keys != nil {
		return []*keyring.Keyring{s.keys}
	}
	for _, u := range s.unlocked {
		all = append(all, u.keys)
	}
	return all
}

// engineMAC returns the MAC with which the engine authenticates its files. Its key is
// derived from the vault's secret, which does not change with the root or the epochs, and
// stays in locked memory until the store is closed.
func (s *Store) engineMAC(k *keyring.Keyring) (func(parts ...[]byte) [32]byte, error) {
	return s.macUnder(func(key []byte) { k.Derive(key, labelEngine, nil) })
}

const labelEngine = "strongroom/engine"

// macUnder allocates a key in locked memory, calls fill to set it and returns a MAC under
// it.
func (s *Store) macUnder(fill func(key []byte)) (func(parts ...[]byte) [32]byte, error) {
	key, err := s.arena.Alloc(keyring.KeySize)
	if err != nil {
		return nil, err
	}
	s.engineKey.Free()
	s.engineKey = key
	fill(key.Bytes())
	id := s.cfg.Suite.id()
	return func(parts ...[]byte) [32]byte { return id.MAC(key.Bytes(), parts...) }, nil
}

// newEngineUnderAnyKey opens an empty engine under a random key for a restore, because
// the vault's secret is known only at the end of the snapshot. The restore then calls
// rekeyEngine.
func (s *Store) newEngineUnderAnyKey(dir string) (Engine, error) {
	mac, err := s.macUnder(func(key []byte) { rand.Read(key) })
	if err != nil {
		return nil, err
	}
	return s.cfg.OpenKeyedEngine(EngineConfig{Dir: dir, MAC: mac})
}

// rekeyEngine gives the engine the key that the next Open will derive.
func (s *Store) rekeyEngine() error {
	e, ok := s.engine.(RekeyEngine)
	if !ok {
		return nil
	}
	old := s.engineKey
	s.engineKey = nil // the old key is in use until Rekey returns
	defer old.Free()
	mac, err := s.engineMAC(s.keys)
	if err != nil {
		return err
	}
	return s.engineError(e.Rekey(mac))
}
