// Package smalldisk mounts small file systems, for tests of full disks and of power cuts.
// It works on Linux and as root only.
package smalldisk
