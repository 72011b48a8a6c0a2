// Package stream is a file format over a data key: a header, then segments of
// 64 KiB, each sealed by itself, so that files of any size pass through little
// memory. Truncation, reordering, splicing and extension are all [ErrStream].
//
// The exact bytes stand in docs/formats.md.
package stream
