package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Open opens the store whose root file ReadRoot answered. It checks the root
// file's MAC (ErrUnlock), the head against the tip (ErrRolledBack), every record
// against the census, and the tail of the log (ErrCorrupt). A replacement of the
// root file that was cut short is finished or abandoned, a bad copy healed, a
// Rekey resumed.
func Open(ctx context.Context, cfg Config, root *Root) (*Store, error) {
	if cfg.Suite != root.suite {
		return nil, fmt.Errorf("%w: the root file names suite %v, not %v", ErrCorrupt, root.suite, cfg.Suite)
	}
	s := newStore(cfg)
	if err := s.open(ctx, cfg.Root, root); err != nil {
		return nil, errors.Join(err, s.release())
	}
	go s.run()
	return s, nil
}

func (s *Store) open(ctx context.Context, secret []byte, root *Root) (err error) {
	s.root = root
	if s.rootKeys, err = newRootKeys(s.arena, root.suite, secret); err != nil {
		return err
	}
	if s.keys, err = root.unlock(s.arena, s.rootKeys); err != nil {
		return err
	}
	if err := s.openEngine(); err != nil {
		return err
	}
	if err := s.readHead(ctx); err != nil {
		return err
	}
	if err := s.checkTip(); err != nil {
		return err
	}
	if err := s.takeCensus(ctx, s.census); err != nil {
		return err
	}
	if err := s.checkTail(ctx); err != nil {
		return err
	}
	if err := s.settleRoot(); err != nil {
		return err
	}
	if s.unfinishedRekey() {
		if err := s.reseal(); err != nil {
			return err
		}
	}
	if err := s.writeTip(); err != nil {
		return err
	}
	return s.tip.sync()
}

func (s *Store) checkTip() (err error) {
	var seen tipState
	if s.tip, seen, err = openTip(s.cfg.Dir, s.keys); err != nil {
		return err
	}
	now := s.head.tip()
	if now.generation < seen.generation {
		return fmt.Errorf("%w: the store is at generation %d, its tip has seen %d", ErrRolledBack, now.generation, seen.generation)
	}
	if now.generation == seen.generation && now != seen {
		return fmt.Errorf("%w: the store and its tip tell different histories of generation %d", ErrRolledBack, now.generation)
	}
	return nil
}

// settleRoot accepts the current or the next root file and ends a replacement.
func (s *Store) settleRoot() error {
	hash := s.root.hash()
	if hash != s.head.rootHash && (hash != s.head.nextRoot || hash == [32]byte{}) {
		return fmt.Errorf("%w: the root file is not the one last written", ErrRolledBack)
	}
	for _, name := range []string{rootFile, rootCopy} {
		b, err := os.ReadFile(filepath.Join(s.cfg.Dir, name))
		if err == nil && bytes.Equal(b, s.root.raw) {
			continue
		}
		if err := replaceFile(s.cfg.Dir, name, s.root.raw); err != nil {
			return err
		}
	}
	if s.head.nextRoot == [32]byte{} {
		return nil
	}
	next := s.head
	next.rootHash, next.nextRoot = hash, [32]byte{}
	return s.commitGroup(s.newGroup(), next)
}

// takeCensus opens every mutable record into c and compares with the head.
func (s *Store) takeCensus(ctx context.Context, c *census) error {
	var after []byte
	var o sealer
	for {
		pairs, err := s.engine.Scan(ctx, []byte{prefixRecord}, after, 256)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			id, path, _, err := o.open(s.keys, p.Key, p.Value)
			if err != nil || id.class > Material || !bytes.Equal(p.Key, s.keys.engineKey(path)) {
				return fmt.Errorf("%w: the record under engine key %x does not open", ErrCorrupt, p.Key)
			}
			e := entry{id.version, s.keys.suite.Hash(p.Value), id.class, id.epoch}
			c.entries[path] = e
			toggle(&c.digest, s.keys, path, e)
			after = p.Key
		}
		if len(pairs) == 0 {
			break
		}
	}
	if got := uint64(len(c.entries)); got != s.head.count {
		return fmt.Errorf("%w: census: %d records, the head counts %d", ErrCorrupt, got, s.head.count)
	}
	if c.digest != s.head.digest {
		return fmt.Errorf("%w: census: a record is not the one last written", ErrCorrupt)
	}
	return nil
}
