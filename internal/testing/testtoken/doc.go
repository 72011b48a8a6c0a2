// Package testtoken provides tests with real disposable devices: software PKCS#11 tokens
// and software TPMs. Each has a directory of its own, needs no privileges, and is removed
// when its test ends.
//
// If a device is not installed the test is skipped, with a message that names the package
// to install. Where CI is "true" in the environment the test fails instead.
package testtoken
