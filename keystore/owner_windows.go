package keystore

// checkOwner does nothing: on Windows an access control list, which files inherit,
// controls the use of a directory.
func (d *directory) checkOwner() error { return nil }

// restrict does nothing, like checkOwner.
func (d *directory) restrict() error { return nil }

// restrictAll does nothing, like checkOwner.
func (d *directory) restrictAll() error { return nil }
