// Package driver defines the interface between a vault and the device that protects its
// keys: a PKCS#11 token, a TPM 2.0, or software.
//
// # For authors of drivers
//
// A driver implements [Driver]. The keys that its OpenKey returns implement [PRF], [Signer]
// or [Decrypter], according to their usage. Optional interfaces of the Driver ([Importer],
// [WrappedImporter], [Lister], [Random], [Counter]) add abilities. A vault learns the
// abilities of a driver from [Info] alone, never from a type assertion; therefore a call for
// anything that Info does not list fails with [Unsupported].
//
// Package drivertest tests a driver against this contract: drivertest.Run runs over
// everything that Info lists.
//
// Four rules hold for all methods:
//
//   - Creation is repeatable. Until the vault has committed the result, a second call of
//     GenerateKey or ImportKey with the same [MaterialID] leaves exactly one usable key.
//     A driver whose keys are objects in a device returns the existing object after
//     checking it; a driver that returns blobs may return a new key.
//   - A context bounds waiting: for a session, a lock or a retry. It does not interrupt a
//     call that the device is executing. If the context is done before the device was
//     reached, the driver does not reach it, and returns the context's error unwrapped.
//   - A driver appends secret output to the caller's dst, and reallocates only if the
//     capacity does not suffice. The caller wipes the memory that it allocated and the
//     result of the method; the driver wipes its own buffers. A driver retains no input
//     after it returns and modifies none.
//   - Every other error is an [*Error] with a [Class].
package driver
