// Package stream implements an encrypted file format: a header, followed by segments of 64
// KiB that are sealed one by one, so that files of any size can be processed with little
// memory. The data key is that of a vault, or any other [DataKey]. A truncated, reordered,
// spliced or extended stream fails with [ErrStream].
//
// docs/formats.md specifies the bytes.
package stream
