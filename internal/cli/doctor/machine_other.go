//go:build !unix

package doctor

// Machine reports that this system is not looked at.
func Machine(string) []Finding {
	return []Finding{{Note, "machine", "memory, disk and files are not checked on this system", ""}}
}
