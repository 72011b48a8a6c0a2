// Encrypts and decrypts by the AWS Encryption SDK for JavaScript under the key whose ARN is the
// argument.
import assert from 'node:assert/strict'
import { buildClient, CommitmentPolicy, KmsKeyringNode } from '@aws-crypto/client-node'

const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
const keyring = new KmsKeyringNode({ generatorKeyId: process.argv[2] })
const { result } = await encrypt(keyring, 'a message of any length', { encryptionContext: { stage: 'test' } })
const { plaintext, messageHeader } = await decrypt(keyring, result)
assert.equal(plaintext.toString(), 'a message of any length')
assert.equal(messageHeader.encryptionContext.stage, 'test')
