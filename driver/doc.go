// Package driver is the seam between a vault and what protects its keys: a
// PKCS#11 token, a TPM 2.0, or software.
//
// # For authors of drivers
//
// Implement [Driver] and, for what the device can do, [PRF], [AEAD], [Signer]
// and [Decrypter] on the keys that OpenKey returns. Optional interfaces on the
// Driver ([Importer], [WrappedImporter], [Lister], [Random], [Counter]) add
// abilities. Capability is data: a vault reads it from [Info] alone and never by
// a type assertion, so what Info does not list must answer [Unsupported].
//
// Run drivertest.Run over the driver. It loops over what Info advertises.
//
// Four rules hold everywhere:
//
//   - Creation is repeatable. Until its result was committed, calling GenerateKey
//     or ImportKey again with the same [MaterialID] leaves exactly one usable
//     key. A driver whose keys are objects in a device returns the existing
//     object after checking it; a driver that returns blobs may return a new key.
//   - A context bounds waiting (for a session, a lock, a retry), never a call that
//     the device is already working on. A context that is done before the device
//     was reached means that the device is not reached, and its error is returned
//     bare.
//   - Secret outputs are appended to the caller's dst, in place where its capacity
//     suffices. Whoever allocates wipes. A driver keeps no input after it returns
//     and changes none.
//   - Every other error is an [*Error] with a [Class].
package driver
