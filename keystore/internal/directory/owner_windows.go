package directory

// CheckOwner does nothing: on Windows an access control list, which files inherit,
// controls the use of a directory.
func (d *Dir) CheckOwner() error { return nil }

// Restrict does nothing, like CheckOwner.
func (d *Dir) Restrict(string, ...string) error { return nil }

// RestrictAll does nothing, like CheckOwner.
func (d *Dir) RestrictAll() error { return nil }
