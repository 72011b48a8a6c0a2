//go:build !cgo || !unix

package bench

import "strongroom.example/internal/testing/testtoken"

// sessionsOf returns nil, because without cgo there is no token.
func sessionsOf(testtoken.PKCS11) func() (int, error) { return nil }

func printModule(string, string) {}
