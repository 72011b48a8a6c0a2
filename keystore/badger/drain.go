package badger

import "github.com/dgraph-io/badger/v4"

// handOver has Badger take the overlay while further commits go on. It waits for
// the one before, and answers its error; only then is it known what room is left.
func (e *engine) handOver() error {
	if err := e.handed(); err != nil {
		return err
	}
	if err := e.room(commitReserve); err != nil {
		return err
	}
	e.over.leave()
	last, ended := e.log.last, make(chan error, 1)
	e.handing = ended
	go func() { ended <- e.drain(last) }()
	return nil
}

// handed waits until Badger has what it was given last, or reports a fault: then it
// may take for ever.
func (e *engine) handed() error {
	if e.handing == nil {
		return nil
	}
	select {
	case err := <-e.handing:
		e.handing = nil
		return err
	case <-e.watch.tripped:
		return e.watch.err()
	}
}

// handAll has Badger take all of the overlay, up to the position of its last batch.
func (e *engine) handAll(last position) error {
	if err := e.handed(); err != nil {
		return err
	}
	e.over.leave()
	return e.drain(last)
}

// drain puts what is leaving the overlay into Badger, in one transaction together
// with the position of the last batch in it. Nothing is synced: the redo log has
// it. After an error the overlay stays, so that readers go on.
func (e *engine) drain(last position) error {
	if len(e.over.leaving) == 0 {
		return nil
	}
	txn := e.db.NewTransaction(true)
	defer txn.Discard()
	err := e.stage(txn, last)
	if err == nil {
		err = txn.Commit()
	}
	if err != nil {
		e.watch.Errorf("a transaction that failed: %T", err) // its text may hold a value
		return e.watch.err()
	}
	e.over.left()
	return nil
}

// stage puts what is leaving and a position into a transaction.
func (e *engine) stage(txn *badger.Txn, last position) (err error) {
	for key, value := range e.over.leaving {
		if value == nil {
			err = txn.Delete([]byte(key))
		} else {
			err = txn.Set([]byte(key), value)
		}
		if err != nil {
			return err
		}
	}
	return txn.Set([]byte(positionKey), last.encode())
}
