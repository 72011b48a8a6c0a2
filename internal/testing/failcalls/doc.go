// Package failcalls makes the n-th system call of a kind fail in a child process, by
// strace, for tests of what is left when the disk fails. It works on Linux only.
package failcalls
