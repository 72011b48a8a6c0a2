package suite

import "unsafe"

// Overlap reports whether appending to dst may overwrite src.
func Overlap(dst, src []byte) bool {
	room := dst[len(dst):cap(dst)]
	if len(room) == 0 || len(src) == 0 {
		return false
	}
	to, from := uintptr(unsafe.Pointer(&room[0])), uintptr(unsafe.Pointer(&src[0]))
	return to < from+uintptr(len(src)) && from < to+uintptr(len(room))
}
