// Database-at-rest encrypts a column of a database, finds rows by it without decrypting them
// all, and brings the rows to a new version of the key while the program works.
//
//	go run ./examples/database-at-rest
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path/filepath"
	"slices"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

// A row is a person in a table. The map stands for the database, which sees this only.
type row struct {
	sealed []byte // the number of the identity card
	index  string // a MAC of the number, by which it is found
}

// people is a program's access to its table.
type people struct {
	vault.Client
	rows map[string]row
}

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	code, err := soft.NewRecoveryCode() // a real program keeps it
	if err != nil {
		return err
	}
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{}, code)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	p := people{v.As(vault.DefaultOwner), map[string]row{}}
	for _, o := range []vault.KeyOptions{
		{Alias: "people"},
		{Alias: "people-index", Usage: vault.GenerateVerifyMac, Spec: vault.HMAC256}, // never rotated: the index would change
	} {
		if _, err := p.CreateKey(ctx, o); err != nil {
			return err
		}
	}
	for i := range 50 {
		if err := p.put(ctx, fmt.Sprintf("row-%02d", i), fmt.Sprintf("ID-%06d", i*i)); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "stored %d rows, each with its own row in the encryption context\n", len(p.rows))
	found, err := p.find(ctx, "ID-000049")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "found a number by its index: %v\n", found)
	return p.renew(ctx, w)
}

// purpose binds a ciphertext to its row and column: in another place it does not decrypt.
func purpose(id string) vault.EncryptionContext {
	return vault.EncryptionContext{"table": "people", "column": "card", "row": id}
}

func (p people) put(ctx context.Context, id, number string) error {
	sealed, err := p.Encrypt(ctx, "people", []byte(number), purpose(id))
	if err != nil {
		return err
	}
	index, err := p.GenerateMac(ctx, "people-index", []byte(number))
	p.rows[id] = row{sealed, string(index)}
	return err
}

// find returns the rows with a number. Equal numbers have equal indexes: a thief of the
// database learns which rows are equal, and without the vault nothing more.
func (p people) find(ctx context.Context, number string) (ids []string, err error) {
	index, err := p.GenerateMac(ctx, "people-index", []byte(number))
	for _, id := range slices.Sorted(maps.Keys(p.rows)) {
		if p.rows[id].index == string(index) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// renew makes a new version of the key, as SetRotation does by a schedule, and re-encrypts the
// rows. A real program stores the Resume of the progress too, and goes on from there after a
// restart.
func (p people) renew(ctx context.Context, w io.Writer) error {
	k, err := p.RotateKey(ctx, "people")
	if err != nil {
		return err
	}
	var source iter.Seq2[vault.ReEncryptItem, error] = func(yield func(vault.ReEncryptItem, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(p.rows)) {
			if !yield(vault.ReEncryptItem{ID: id, Ciphertext: p.rows[id].sealed, From: purpose(id)}, nil) {
				return
			}
		}
	}
	done, err := p.ReEncryptAll(ctx, "people", source, func(_ context.Context, r vault.ReEncrypted) error {
		p.rows[r.ID] = row{r.Ciphertext, p.rows[r.ID].index}
		return r.Err
	}, vault.ReEncryptOptions{})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d rows are encrypted under version %d\n", done.Done, k.Version)
	return p.SetMinimumVersion(ctx, "people", k.Version) // a row that was left out would be refused
}
