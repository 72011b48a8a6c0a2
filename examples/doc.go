// Package examples has no code: each folder below it is a program that shows one use of a
// vault, with a test that runs it. README.md lists them.
package examples
