// Calls operations by the SDK for JavaScript, which reads endpoint, region and credentials from
// the environment. It ends with an error if a result is wrong.
import assert from 'node:assert/strict'
import { constants, createVerify, publicEncrypt } from 'node:crypto'
import * as sdk from '@aws-sdk/client-kms'

const client = new sdk.KMSClient({ maxAttempts: 1 })
const call = (name, input = {}) => client.send(new sdk[name + 'Command'](input))
const refused = async (code, name, input) => {
  await assert.rejects(call(name, input), e => e.name === code && e.$metadata.requestId !== undefined)
}
const text = b => Buffer.from(b).toString()
const bytes = s => new TextEncoder().encode(s)

const { KeyMetadata: key } = await call('CreateKey', { Description: 'all', Tags: [{ TagKey: 'team', TagValue: 'shop' }] })
const KeyId = key.KeyId
assert.equal(key.KeyState, 'Enabled')
assert.ok(key.CreationDate instanceof Date)
assert.equal((await call('DescribeKey', { KeyId: key.Arn })).KeyMetadata.KeyId, KeyId)
await call('UpdateKeyDescription', { KeyId, Description: '说明' })
assert.deepEqual((await call('ListResourceTags', { KeyId })).Tags, [{ TagKey: 'team', TagValue: 'shop' }])
await call('TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] })
await call('UntagResource', { KeyId, TagKeys: ['team'] })
await call('CreateAlias', { AliasName: 'alias/js', TargetKeyId: KeyId })
assert.equal((await call('ListAliases', { KeyId })).Aliases[0].AliasName, 'alias/js')
const other = (await call('CreateKey')).KeyMetadata.KeyId
await call('UpdateAlias', { AliasName: 'alias/js', TargetKeyId: other })
await call('DeleteAlias', { AliasName: 'alias/js' })
let listed = 0
for await (const page of sdk.paginateListKeys({ client, pageSize: 1 }, {})) listed += page.Keys.length
assert.equal(listed, 2)

const EncryptionContext = { tenant: '7' }
const sealed = await call('Encrypt', { KeyId, Plaintext: bytes('test\n'), EncryptionContext })
assert.equal(text((await call('Decrypt', { CiphertextBlob: sealed.CiphertextBlob, EncryptionContext })).Plaintext), 'test\n')
await refused('InvalidCiphertextException', 'Decrypt', { CiphertextBlob: sealed.CiphertextBlob })
const moved = await call('ReEncrypt', { CiphertextBlob: sealed.CiphertextBlob, SourceEncryptionContext: EncryptionContext, DestinationKeyId: other })
assert.equal(text((await call('Decrypt', { CiphertextBlob: moved.CiphertextBlob })).Plaintext), 'test\n')
assert.equal((await call('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })).Plaintext.length, 32)
const pair = await call('GenerateDataKeyPair', { KeyId, KeyPairSpec: 'ECC_NIST_P256' })
assert.deepEqual((await call('Decrypt', { CiphertextBlob: pair.PrivateKeyCiphertextBlob })).Plaintext, pair.PrivateKeyPlaintext)
await call('GenerateDataKeyPairWithoutPlaintext', { KeyId, KeyPairSpec: 'ECC_NIST_P256' })
await call('GenerateDataKeyWithoutPlaintext', { KeyId, KeySpec: 'AES_128' })
assert.equal((await call('GenerateRandom', { NumberOfBytes: 64 })).Plaintext.length, 64)

const rsa = (await call('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })).KeyMetadata.KeyId
const der = k => ({ key: Buffer.from(k.PublicKey), format: 'der', type: 'spki' })
const ct = publicEncrypt({ ...der(await call('GetPublicKey', { KeyId: rsa })), oaepHash: 'sha256', padding: constants.RSA_PKCS1_OAEP_PADDING }, Buffer.from('test\n'))
assert.equal(text((await call('Decrypt', { KeyId: rsa, CiphertextBlob: ct, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' })).Plaintext), 'test\n')
const ec = (await call('CreateKey', { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })).KeyMetadata.KeyId
const Message = bytes('message')
const { Signature } = await call('Sign', { KeyId: ec, Message, SigningAlgorithm: 'ECDSA_SHA_256' })
assert.ok(createVerify('sha256').update(Message).verify(der(await call('GetPublicKey', { KeyId: ec })), Signature))
assert.equal((await call('Verify', { KeyId: ec, Message, Signature, SigningAlgorithm: 'ECDSA_SHA_256' })).SignatureValid, true)
await refused('KMSInvalidSignatureException', 'Verify', { KeyId: ec, Message: bytes('another'), Signature, SigningAlgorithm: 'ECDSA_SHA_256' })
const hmac = (await call('CreateKey', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })).KeyMetadata.KeyId
const { Mac } = await call('GenerateMac', { KeyId: hmac, Message, MacAlgorithm: 'HMAC_SHA_256' })
assert.equal((await call('VerifyMac', { KeyId: hmac, Message, Mac, MacAlgorithm: 'HMAC_SHA_256' })).MacValid, true)
const used = await call('GetKeyLastUsage', { KeyId: hmac })
assert.equal(used.KeyLastUsage.Operation, 'VerifyMac')
assert.ok(used.KeyLastUsage.Timestamp instanceof Date && used.TrackingStartDate.getTime() === used.KeyCreationDate.getTime())

await call('EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 })
const rotation = await call('GetKeyRotationStatus', { KeyId })
assert.ok(rotation.KeyRotationEnabled && rotation.NextRotationDate > new Date())
await call('DisableKeyRotation', { KeyId })
await call('RotateKeyOnDemand', { KeyId })
assert.equal((await call('ListKeyRotations', { KeyId })).Rotations.length, 1)
const external = (await call('CreateKey', { Origin: 'EXTERNAL' })).KeyMetadata.KeyId
const params = await call('GetParametersForImport', { KeyId: external, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' })
const EncryptedKeyMaterial = publicEncrypt({ ...der(params), oaepHash: 'sha256', padding: constants.RSA_PKCS1_OAEP_PADDING }, Buffer.from('32 bytes of a key of the caller.'))
await call('ImportKeyMaterial', { KeyId: external, ImportToken: params.ImportToken, EncryptedKeyMaterial, ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' })
await call('DeleteImportedKeyMaterial', { KeyId: external })
await call('DisableKey', { KeyId })
await refused('DisabledException', 'Encrypt', { KeyId, Plaintext: Message })
await call('EnableKey', { KeyId })
assert.ok((await call('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })).DeletionDate > new Date())
await call('CancelKeyDeletion', { KeyId })
await call('ListKeyPolicies', { KeyId })
await refused('NotFoundException', 'GetKeyPolicy', { KeyId })
await refused('UnsupportedOperationException', 'CreateGrant', { KeyId, GranteePrincipal: 'p', Operations: ['Decrypt'] })
await refused('UnsupportedOperationException', 'ListGrants', { KeyId })
