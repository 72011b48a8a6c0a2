package badger

import "strongroom.example/keystore"

// recover brings Badger up to the redo log, makes it durable and begins a new
// epoch of the log.
func (e *engine) recover() error {
	at, err := e.position()
	if err != nil {
		return err
	}
	first, last, err := e.log.span()
	if err != nil {
		return err
	}
	if follows(at, first, last) {
		if err := e.log.each(e.redo); err != nil {
			return err
		}
		if err := e.handAll(last); err != nil {
			return err
		}
		at = last
	}
	if err := e.harden(); err != nil {
		return err
	}
	return e.log.start(at.seq)
}

// redo brings one record of the log back.
func (e *engine) redo(at position, b keystore.Batch) error {
	if !e.over.takes(b) {
		if err := e.handAll(position{at.epoch, at.seq - 1}); err != nil {
			return err
		}
	}
	e.over.add(b)
	return nil
}

// span is the first and the last position of the log, zero for an empty one.
func (r *redo) span() (first, last position, err error) {
	err = r.each(func(at position, _ keystore.Batch) error {
		if first == (position{}) {
			first = at
		}
		last = at
		return nil
	})
	return first, last, err
}

// follows tells whether the log's records, all of them in order, bring Badger to
// the state of the last one. Badger was durable when the log's epoch began, just
// before first. Since then it may have lost any of the epoch's batches, newer ones
// and older ones too where the machine died with Badger's logs partly on disk:
// from first to last is right for every such state.
//
// It is wrong if the log ends before a batch that Badger has. A batch is on disk in
// the log before Badger gets it, so the log was damaged; its beginning alone would
// put back older values. It is wrong too if Badger's position is from neither the
// epoch nor its eve: then log and Badger are not of one moment. The keystore's head,
// census and tip tell what is missing.
func follows(at, first, last position) bool {
	if first == (position{}) {
		return false
	}
	if at.epoch == last.epoch {
		return at.seq <= last.seq
	}
	return at.seq+1 == first.seq
}
