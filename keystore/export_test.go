package keystore

// SetStep has f asked before each step that a crash may cut.
func (c *Config) SetStep(f func(name string) error) { c.step = f }
