package drivertest

import (
	"errors"
	"slices"

	"strongroom.example/driver"
)

// wantClass checks that err is a *driver.Error of one of the classes.
func wantClass(t tb, err error, what string, classes ...driver.Class) {
	t.Helper()
	var e *driver.Error
	switch {
	case err == nil:
		t.Errorf("%s: no error, want %v", what, classes)
	case !errors.As(err, &e):
		t.Errorf("%s: %T (%v) is not a *driver.Error", what, err, err)
	case !slices.Contains(classes, e.Class):
		t.Errorf("%s: %v, want %v", what, err, classes)
	}
}

// wantClassified checks that err, if not nil, is a *driver.Error with an Op and a Class.
func wantClassified(t tb, err error, what string) {
	t.Helper()
	if err == nil {
		return
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: %T (%v) is not a *driver.Error", what, err, err)
		return
	}
	if e.Op == "" {
		t.Errorf("%s: the error has no Op", what)
	}
	if e.Class > driver.Unavailable {
		t.Errorf("%s: the class %v is not defined", what, e.Class)
	}
}

// wantBare checks that err is the context's own error, unwrapped.
func wantBare(t tb, err error, what string, want error) {
	t.Helper()
	if err != want {
		t.Errorf("%s: %v, want a bare %v", what, err, want)
	}
}

// positions returns at most most indexes below n, evenly spread, including both ends.
func positions(n, most int) []int {
	list := make([]int, 0, most)
	for i := range min(n, most) {
		if n <= most {
			list = append(list, i)
			continue
		}
		list = append(list, i*(n-1)/(most-1))
	}
	return list
}

// flipped returns a copy of b with one bit of byte i changed.
func flipped(b []byte, i int) []byte {
	c := slices.Clone(b)
	c[i] ^= 1 << (i % 8)
	return c
}
