// Package datakeyrecords keeps the records of named data keys in a commit: the data key itself,
// its name, its place among those of its CMK, and their number.
package datakeyrecords

import (
	"fmt"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/record"
)

// Limit is the maximum number of named data keys of one CMK.
const Limit = 10000

const (
	// Folder has the records of all data keys.
	Folder = "datakey/"
	// Deletions has a record for each data key that is PendingDeletion.
	Deletions = "datakey-deletion/"
)

// Path returns the path of the record of a data key.
func Path(id string) string { return Folder + id }

// DeletionPath returns the path of the record of a data key that is PendingDeletion.
func DeletionPath(id string) string { return Deletions + id }

// NamePath returns the path of the record of a name, which is the id of the data key that has it.
func NamePath(name string) string { return "datakey-name/" + name }

// FolderOf returns the folder with a record for each data key of a CMK.
func FolderOf(key string) string { return "datakey-of/" + key + "/" }

// CountPath returns the path of the number of data keys of a CMK.
func CountPath(key string) string { return "datakey-count/" + key }

// Mark is the value of a record that has all its information in the path.
func Mark() []byte { return []byte("{}") }

// A DataKey is what the paths of the records of a data key are made of.
type DataKey struct {
	ID, Name string
	// Key is the id of the CMK.
	Key string
}

// Add stores a new data key, whose record is given. Errors: ErrExists for a name that another
// one has; ErrTooLarge for too many data keys of the CMK; ErrCorrupt.
func (k DataKey) Add(tx *keystore.Tx, stored []byte) error {
	if err := claimName(tx, k.Name, k.ID); err != nil {
		return err
	}
	n, err := count(tx, k.Key)
	if err != nil {
		return err
	}
	if n >= Limit {
		return fmt.Errorf("%w: the key has %d named data keys, which is the limit", fault.ErrTooLarge, n)
	}
	tx.Put(Path(k.ID), stored)
	tx.Put(FolderOf(k.Key)+k.ID, Mark())
	tx.Put(CountPath(k.Key), record.EncodeCount(n+1))
	return nil
}

// Rename gives a data key another name. It does not change the record of the data key. Errors:
// ErrExists for a name that another one has.
func (k DataKey) Rename(tx *keystore.Tx, name string) error {
	if err := claimName(tx, name, k.ID); err != nil {
		return err
	}
	tx.Delete(NamePath(k.Name))
	return nil
}

// Remove removes all records of a data key. Errors: ErrCorrupt.
func (k DataKey) Remove(tx *keystore.Tx) error {
	n, err := count(tx, k.Key)
	if err != nil {
		return err
	}
	for _, path := range []string{Path(k.ID), NamePath(k.Name), DeletionPath(k.ID), FolderOf(k.Key) + k.ID, CountPath(k.Key)} {
		tx.Delete(path)
	}
	if n > 1 {
		tx.Put(CountPath(k.Key), record.EncodeCount(n-1))
	}
	return nil
}

// claimName stores the name of a data key, unless another one has it.
func claimName(tx *keystore.Tx, name, id string) error {
	if tx.Version(NamePath(name)) != 0 {
		return fmt.Errorf("%w: data key %q", fault.ErrExists, name)
	}
	tx.Put(NamePath(name), []byte(id))
	return nil
}

// count reads how many named data keys a CMK has.
func count(tx *keystore.Tx, key string) (uint64, error) {
	if tx.Version(CountPath(key)) == 0 {
		return 0, nil
	}
	return record.ReadCount(tx, CountPath(key))
}
