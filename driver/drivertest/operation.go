package drivertest

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
)

// An operation is one call of one method, with valid arguments.
type operation struct {
	name string
	call func(context.Context) error
}

var errOutput = errors.New("output beside an error")

// An opening is a key together with its opened form.
type opening struct {
	createdKey
	opened driver.Key
}

// openSamples generates a key for each usage in d and opens it.
func openSamples(t tb, s *subject, d driver.Driver) []opening {
	t.Helper()
	var list []opening
	for _, row := range s.samples() {
		k := makeKey(t, d, row)
		list = append(list, opening{k, openKey[driver.Key](t, d, k)})
	}
	return list
}

// operations returns a call of every method that a driver has.
func operations(t tb, s *subject, d driver.Driver, keys []opening) []operation {
	t.Helper()
	var list []operation
	for _, k := range keys {
		list = append(list, driverOperations(d, k.createdKey)...)
		list = append(list, keyOperations(k.createdKey, k.opened)...)
		if k.row.Import {
			importer := d.(driver.Importer)
			in := s.encoded(t, k.row.Spec.Algorithm)
			list = append(list, operation{"ImportKey", func(ctx context.Context) error {
				_, err := importer.ImportKey(ctx, freshID(), k.row.Spec, in)
				return err
			}})
		}
	}
	return append(append(list, wrappingOperations(s, d)...), optionalOperations(d)...)
}

func driverOperations(d driver.Driver, k createdKey) []operation {
	return []operation{
		{"GenerateKey", func(ctx context.Context) error {
			_, err := d.GenerateKey(ctx, freshID(), k.row.Spec)
			return err
		}},
		{"OpenKey", func(ctx context.Context) error {
			opened, err := d.OpenKey(ctx, k.id, k.row.Spec, k.created.Blob)
			if err == nil {
				return opened.Close()
			}
			return err
		}},
		{"DestroyKey", func(ctx context.Context) error { return d.DestroyKey(ctx, k.id, k.created.Blob) }},
	}
}

// keyOperations returns the calls of an open key.
func keyOperations(k createdKey, opened driver.Key) []operation {
	list := []operation{{"use of " + k.row.Spec.String(), func(ctx context.Context) error { return use(ctx, k, opened) }}}
	if opened, ok := opened.(driver.PRF); ok {
		list = append(list, appending("PRF", func(ctx context.Context, dst []byte) ([]byte, error) {
			return opened.PRF(ctx, dst, []byte("input"))
		}))
	}
	return list
}

// appending returns an operation that fails if there is output beside an error.
func appending(name string, call func(context.Context, []byte) ([]byte, error)) operation {
	return operation{name, func(ctx context.Context) error {
		out, err := call(ctx, make([]byte, 0, 64))
		if err != nil && len(out) > 0 {
			return fmt.Errorf("%s: %w", name, errOutput)
		}
		return err
	}}
}

// wrappingOperations returns GenerateWrappingKey only. ImportWrapped has a check of its
// own, because it needs an open key.
func wrappingOperations(s *subject, d driver.Driver) []operation {
	rows := s.rows(driver.Unwrap)
	importer, ok := d.(driver.WrappedImporter)
	if !ok || len(rows) == 0 {
		return nil
	}
	return []operation{{"GenerateWrappingKey", func(ctx context.Context) error {
		_, err := importer.GenerateWrappingKey(ctx, freshID(), rows[0].Spec.Algorithm)
		return err
	}}}
}

func optionalOperations(d driver.Driver) []operation {
	var list []operation
	info := d.Info()
	if lister, ok := d.(driver.Lister); ok && info.Lister {
		list = append(list, operation{"ListKeys", func(ctx context.Context) error {
			for _, err := range lister.ListKeys(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if random, ok := d.(driver.Random); ok && info.Random {
		list = append(list, operation{"Random", func(ctx context.Context) error { return random.Random(ctx, make([]byte, 16)) }})
	}
	if counter, ok := d.(driver.Counter); ok && info.Counter {
		list = append(list,
			operation{"Identity", func(ctx context.Context) error { _, err := counter.Identity(ctx); return err }},
			operation{"Read", func(ctx context.Context) error { _, err := counter.Read(ctx); return err }},
			operation{"Increment", func(ctx context.Context) error { _, err := counter.Increment(ctx); return err }})
	}
	return list
}
