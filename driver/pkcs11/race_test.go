//go:build race && cgo && linux

package pkcs11_test

const raceDetector = true
