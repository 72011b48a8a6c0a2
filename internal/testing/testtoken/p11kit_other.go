//go:build !unix

package testtoken

func setServerAddress(string) {}
