// Package keystore keeps a vault's records sealed, counted, ordered and durable. It adds
// to an embedded storage Engine the protection that an engine lacks: every record is
// sealed under its own key, a census detects a missing or older record, and a tip file
// outside the engine detects a store that was rolled back.
package keystore
