package drivertest

import (
	"context"
	"fmt"

	"strongroom.example/driver"
)

const maxBlob = 16 << 10

// refusesBlob checks that OpenKey of a key fails with one of the classes.
func refusesBlob(t tb, s *subject, k createdKey, what string, classes ...driver.Class) {
	t.Helper()
	opened, err := s.OpenKey(context.Background(), k.id, k.row.Spec, k.created.Blob)
	wantClass(t, err, fmt.Sprintf("%v: %s", k.row.Spec, what), classes...)
	if err == nil {
		closeKey(t, opened)
	}
}

// eachBlob runs a check on each shared key that has a blob.
func eachBlob(t tb, s *subject, run func(createdKey)) {
	t.Helper()
	for _, row := range s.generated() {
		if k := s.key(t, row); len(k.created.Blob) != 0 {
			run(k)
		}
	}
}

func blobOfOtherKeyRefused(t tb, s *subject) {
	eachBlob(t, s, func(k createdKey) {
		if len(k.created.Blob) > maxBlob {
			t.Errorf("%v: a blob of %d bytes", k.row.Spec, len(k.created.Blob))
		}
		k.id[3] ^= 1
		refusesBlob(t, s, k, "a blob under another id", driver.Authentic)
	})
}

// blobOfOtherSpecRefused opens each key under each other spec. A driver may look for an
// object by its kind, so that NotFound is allowed.
func blobOfOtherSpecRefused(t tb, s *subject) {
	for _, row := range s.generated() {
		k := s.key(t, row)
		classes := []driver.Class{driver.Authentic}
		if len(k.created.Blob) == 0 {
			classes = append(classes, driver.NotFound)
		}
		for _, other := range s.info.Specs {
			if other.Spec == row.Spec {
				continue
			}
			stranger := k
			stranger.row = other
			refusesBlob(t, s, stranger, "opened with what belongs to "+row.Spec.String(), classes...)
		}
	}
}

func blobFlipped(t tb, s *subject) {
	eachBlob(t, s, func(k createdKey) {
		blob := k.created.Blob
		for _, i := range positions(len(blob), 96) {
			k.created.Blob = flipped(blob, i)
			refusesBlob(t, s, k, fmt.Sprintf("byte %d of the blob flipped", i), driver.Authentic)
		}
		for _, n := range positions(len(blob), 24)[1:] {
			k.created.Blob = blob[:n:n]
			refusesBlob(t, s, k, fmt.Sprintf("the first %d bytes of the blob", n), driver.Authentic)
		}
		k.created.Blob = append(blob[:len(blob):len(blob)], 0)
		refusesBlob(t, s, k, "a byte too many", driver.Authentic)
	})
}
