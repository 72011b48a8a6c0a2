package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/osfile"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/repairplan"
	"strongroom.example/keystore/internal/tip"
)

// A RepairReport describes the result of a Repair.
type RepairReport struct {
	// Rebuilt is false if the engine was whole, and then it was not changed.
	Rebuilt bool
	// Fault is the error with which the store did not open or check. Without Rebuilt it is
	// that of the journal, which was written again.
	Fault error
	// LostFrom and LostTo bound the audit records that are lost: LostFrom up to but not
	// including LostTo. They are equal if none is.
	LostFrom, LostTo uint64
	// LogRoot is the root of the log's tree of size LostTo.
	LogRoot [32]byte
	// FromJournal is true if the mutable records come from the journal, false if they come
	// from the engine's files.
	FromJournal bool
	// SetAside is the name, in the store's directory, of the engine's former directory. It
	// is empty if there was none.
	SetAside string
}

// repairLead is added to the newest known generation, so that a rebuilt store is ahead of
// every state that the damaged one had.
const repairLead = restoreLead

// repairedDir is the name of the rebuilt engine from the moment at which it is complete
// until it takes the place of the damaged one.
const repairedDir = "store.repaired"

// Repair opens the store and checks it, as Open and Check do. If that shows damage, it
// rebuilds the engine, the tip and the journal, and opens the result:
//
//   - The mutable records come from the journal, or, if the journal is damaged or missing,
//     from the engine's files; they must then match the census.
//   - Audit records are kept if the engine's files still have them. The log goes on at the
//     newest size that tip, engine and journal know, with the same tree.
//   - record is called for the first commit of the rebuilt store.
//
// The damaged engine directory is renamed, not removed. Until the rebuilt store is
// complete and was read back, nothing else in the directory changes; after that a crash
// leaves a directory that the next Open completes. The generation rises by 2^32, so that
// older copies are recognised. Errors:
//   - ErrCorrupt, ErrRolledBack: the remaining files do not suffice; the text says why.
//   - Those of Open.
func Repair(ctx context.Context, cfg Config, root *Root, record func(*Tx, RepairReport)) (*Store, RepairReport, error) {
	s, err := openStore(ctx, cfg, root)
	if err == nil {
		if err = s.Check(ctx); err == nil {
			return s, RepairReport{}, nil
		}
		if again := s.Check(ctx); again == nil { // Check wrote the journal again
			return s, RepairReport{Fault: err}, nil
		}
		err = errors.Join(err, s.Close())
	}
	if !repairable(err) {
		return nil, RepairReport{}, err
	}
	report := RepairReport{Rebuilt: true, Fault: err}
	if err := rebuild(ctx, cfg, root, &report, record); err != nil {
		return nil, report, err
	}
	s, err = openStore(ctx, cfg, root)
	return s, report, err
}

// repairable reports whether an error of Open or Check is one of the store's contents.
func repairable(err error) bool {
	if errors.Is(err, ErrReplaced) || errors.Is(err, ErrUnlock) {
		return false
	}
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrRolledBack)
}

// adviseRepair adds to an error of Open that Repair can rebuild the store, if it can.
func adviseRepair(ctx context.Context, cfg Config, root *Root, err error) error {
	if !repairable(err) {
		return err
	}
	r, planErr := newRepair(ctx, cfg, root)
	if planErr == nil {
		planErr = r.plan(ctx)
	}
	r.close()
	if planErr != nil {
		return err
	}
	return fmt.Errorf("%w; Repair can rebuild the store without a copy", err)
}

// rebuild makes the new store beside the damaged one, reads it back and puts it in place.
func rebuild(ctx context.Context, cfg Config, root *Root, report *RepairReport, record func(*Tx, RepairReport)) (err error) {
	r, err := newRepair(ctx, cfg, root)
	defer func() { err = errors.Join(err, r.close()) }()
	if err != nil {
		return err
	}
	if err := r.plan(ctx); err != nil {
		return err
	}
	if err := r.store.accept(); err != nil {
		return err
	}
	if err := r.build(ctx, report, record); err != nil {
		return fault.Environment("rebuild the store in", r.store.dir.Path(), err)
	}
	if err := r.readBack(ctx); err != nil {
		return fault.Environment("read the rebuilt store in", r.store.dir.Path(), err)
	}
	return fault.Environment("replace the damaged store in", r.store.dir.Path(), r.store.putInPlace(report))
}

// buildSuffix ends the names of engine, tip and journal while Repair builds them.
const buildSuffix = ".build"

// repair is a rebuild in progress.
type repair struct {
	redacted
	store  *Store // for the root files, and the one that is built
	old    *directory.Dir
	left   repairplan.Sources
	chosen repairplan.Plan
}

// newRepair opens the directory and the root files. The caller closes the result, which is
// not nil, after an error too.
func newRepair(ctx context.Context, cfg Config, root *Root) (*repair, error) {
	r := &repair{}
	s, err := newStore(cfg)
	if err != nil {
		return r, err
	}
	s.suffix = buildSuffix
	r.store = s
	if err := s.unlock(root, append([][]byte{cfg.Root}, cfg.Roots...)); err != nil {
		return r, err
	}
	if r.old, err = s.dir.OpenDir(engineDir); err != nil {
		r.old = nil // there is no engine, or it is no directory
	}
	return r, ctx.Err()
}

func (r *repair) close() error {
	if r.store == nil {
		return nil
	}
	if r.old != nil {
		r.old.Close()
	}
	for _, u := range r.store.unlocked {
		if u.keys != r.store.keys {
			u.keys.Free()
		}
	}
	r.store.dropUnlocked()
	return r.store.abandon()
}

// plan reads what is left, and decides from what the store is rebuilt.
func (r *repair) plan(ctx context.Context) error {
	var first error
	for _, u := range r.store.unlocked {
		r.store.use(u)
		err := r.planWith(ctx)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (r *repair) planWith(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	s := r.store
	control, err := r.left.Control()
	if err != nil {
		return err
	}
	s.head = control
	if err := s.chooseRoot(); err != nil {
		return err
	}
	if r.chosen, err = r.left.Choose(); err != nil {
		return err
	}
	r.chosen.Head.Generation += repairLead
	return ctx.Err()
}

// read reads tip, journal and the engine's files, but for the audit records. What cannot
// be read is left out.
func (r *repair) read(ctx context.Context) error {
	s := r.store
	r.left = repairplan.Sources{Keys: s.keys, Engine: map[string]repairplan.Entry{}, Journaled: journaled}
	t, seen, err := tip.Open(s.dir, tipFile, s.keys)
	if err == nil {
		r.left.Tip = seen
		t.Close()
	} else if fault.IsShortage(err) {
		return err
	}
	b, err := s.dir.Read(JournalFile)
	if fault.IsShortage(err) {
		return err
	}
	found := scanJournal(s.keys, b)
	r.left.Journal, r.left.JournalHead = found.State, found.head
	return r.salvage(ctx, []byte{record.LogPrefix + 1}, func(e Salvaged) error {
		switch {
		case string(e.Key) == record.HeadKey:
			r.addHead(e.Value)
		case len(e.Key) > 0 && e.Key[0] == record.Prefix:
			if had, ok := r.left.Engine[string(e.Key)]; !ok || e.At >= had.At {
				r.left.Engine[string(e.Key)] = repairplan.Entry{Value: e.Value, At: e.At}
			}
		}
		return ctx.Err()
	})
}

func (r *repair) addHead(sealed []byte) {
	id, _, plain, err := record.Open(r.store.keys, []byte(record.HeadKey), sealed)
	if err != nil || id.Class != keyring.Head {
		return
	}
	if h, err := head.Parse(plain); err == nil && h.Generation == id.Version && h.Generation > r.left.EngineHead.Generation {
		r.left.EngineHead = h
	}
}

// salvage passes on the entries of the damaged engine.
func (r *repair) salvage(ctx context.Context, from []byte, each func(Salvaged) error) error {
	s := r.store
	if r.old == nil {
		return nil
	}
	dir, release := osfile.HandlePath(r.old.File(), r.old.Path())
	defer release()
	if s.cfg.Salvage == nil {
		return r.scan(ctx, dir, from, each)
	}
	key, err := s.arena.Alloc(keyring.KeySize) // the one in Store belongs to the engine that is built
	if err != nil {
		return err
	}
	defer key.Free()
	s.keys.Derive(key.Bytes(), labelEngine, nil)
	mac := func(parts ...[]byte) [32]byte { return s.cfg.Suite.id().MAC(key.Bytes(), parts...) }
	return s.cfg.Salvage(EngineConfig{Dir: dir, MAC: mac}, from, each)
}

// scan opens an engine that has no Salvage.
func (r *repair) scan(ctx context.Context, dir string, from []byte, each func(Salvaged) error) error {
	e, err := r.store.cfg.OpenEngine(dir)
	if err != nil {
		return nil
	}
	defer e.Close()
	for after := []byte(nil); ; {
		pairs, err := e.Scan(ctx, nil, after, 256)
		if err != nil || len(pairs) == 0 {
			return err
		}
		for _, p := range pairs {
			if after = p.Key; bytes.Compare(p.Key, from) < 0 {
				continue
			}
			if err := each(Salvaged{Key: p.Key, Value: p.Value, At: 1}); err != nil {
				return err
			}
		}
	}
}
