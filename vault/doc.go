// Package vault is the public face of Strongroom: an embedded key vault.
//
// Create makes a vault in a directory, Open opens it, and As gives the Client
// through which one principal acts. A CMK never leaves the vault; a program
// encrypts small things with it, and large ones under data keys.
//
// No result of an operation is released before its audit record is durable. No
// stored byte is believed before it was authenticated. Every error is an *Error
// around one of the sentinels, but for a context's own.
package vault
