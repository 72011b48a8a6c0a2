package badger

import "github.com/dgraph-io/badger/v4"

// drain puts the overlay into Badger, in one transaction together with the
// position of the last batch in it. Nothing is synced: the redo log has it. After
// an error the overlay stays, so that readers go on.
func (e *engine) drain(last position) error {
	if len(e.over.values) == 0 {
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
	e.over.clear()
	return nil
}

// stage puts the overlay and a position into a transaction. Only the caller, who
// holds e.commit or has the engine to itself, changes the overlay.
func (e *engine) stage(txn *badger.Txn, last position) (err error) {
	for key, value := range e.over.values {
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
