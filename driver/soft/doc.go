// Package soft is the software engine of a vault, and the protectors that need no
// device: a passphrase, a recovery code and a key file.
//
// The engine gives the protection level SOFTWARE. Key material rests in blobs that
// are sealed under one wrapping key. Opened symmetric material is held in locked
// memory. Opened asymmetric keys are Go's own key structs: they live on the
// ordinary heap, may be swapped, and are dropped, not wiped, on Close. Who needs
// more uses a device.
package soft
