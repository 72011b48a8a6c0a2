// Package testtoken gives tests real devices to throw away: a software PKCS#11
// token, a software TPM. Each has a directory of its own, needs no privilege, and
// is gone when its test ends.
//
// A device that is not installed skips the test, and the message names the package
// to install. Where CI is "true" in the environment it fails the test instead.
package testtoken
