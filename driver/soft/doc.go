// Package soft is the software engine of a vault, and the protectors that need no device:
// a passphrase, a recovery code and a key file.
//
// The engine's protection level is SOFTWARE. Key material is stored in blobs that are
// sealed under one wrapping key. Opened symmetric material is held in locked memory.
// Opened asymmetric keys are Go's own key structs: they live on the ordinary heap, may be
// swapped to disk, and are not wiped when the key is closed. A caller for whom that is
// not acceptable uses a device.
package soft
