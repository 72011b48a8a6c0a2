// Calls every operation by the SDK for JavaScript. KMS_ENDPOINT is the host and port of the
// server, and KMS_REFUSED a JSON object of the operations that it refuses, with their error codes.
// It ends with an error if a result is wrong.
import assert from 'node:assert/strict'
import { constants, createHash, createPublicKey, createVerify, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes, verify } from 'node:crypto'
import kms from 'tencentcloud-sdk-nodejs/tencentcloud/services/kms/index.js'

const { KMS_ENDPOINT: endpoint, KMS_REFUSED, TENCENTCLOUD_SECRET_ID: secretId, TENCENTCLOUD_SECRET_KEY: secretKey } = process.env
const connect = reqMethod => new kms.kms.v20190118.Client({
  credential: { secretId, secretKey }, region: 'ap-guangzhou', profile: { httpProfile: { protocol: 'http://', endpoint, reqMethod } },
})
const client = connect('POST')
const call = (name, input = {}) => client[name](input)
const refused = (code, name, input = {}) => assert.rejects(call(name, input), e => e.code === code && e.requestId !== '')
const base64 = b => Buffer.from(b).toString('base64')
const bytes = text => Buffer.from(text, 'base64')
const create = async (Alias, KeyUsage, more = {}) => (await call('CreateKey', { Alias, KeyUsage, ...more })).KeyId
const publicKey = async KeyId => createPublicKey((await call('GetPublicKey', { KeyId })).PublicKeyPem)

// Keys.
const made = await call('CreateKey', { Alias: 'js', Description: '订单', Tags: [{ TagKey: 'team', TagValue: 'shop' }] })
const KeyId = made.KeyId
assert.equal(made.KeyState, 'Enabled')
assert.equal((await call('DescribeKey', { KeyId })).KeyMetadata.Description, '订单')
await call('UpdateAlias', { KeyId, Alias: 'renamed' })
await call('UpdateKeyDescription', { KeyId, Description: 'new' })
assert.equal((await call('DescribeKeys', { KeyIds: [KeyId] })).KeyMetadatas[0].Alias, 'renamed')
assert.equal((await call('ListKeys', { Limit: 1 })).TotalCount, 1)
assert.equal((await call('ListKeyDetail', { TagFilters: [{ TagKey: 'team', TagValue: ['shop'] }] })).KeyMetadatas[0].KeyId, KeyId)
await call('BindCloudResource', { KeyId, ProductId: 'cos', ResourceId: 'bucket' })
await refused('FailedOperation.CmkUsedByCloudProduct', 'DisableKey', { KeyId })
await call('UnbindCloudResource', { KeyId, ProductId: 'cos', ResourceId: 'bucket' })
await call('ArchiveKey', { KeyId })
await call('CancelKeyArchive', { KeyId })
await call('DisableKey', { KeyId })
await refused('ResourceUnavailable.CmkDisabled', 'Encrypt', { KeyId, Plaintext: base64('p') })
await call('EnableKey', { KeyId })
await call('DisableKeys', { KeyIds: [KeyId] })
assert.ok((await call('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })).DeletionDate > Date.now() / 1000)
await call('CancelKeyDeletion', { KeyId })
await call('EnableKeys', { KeyIds: [KeyId] })
await call('EnableKeyRotation', { KeyId, RotateDays: 90 })
assert.equal((await call('GetKeyRotationStatus', { KeyId })).KeyRotationEnabled, true)
await call('DisableKeyRotation', { KeyId })

// Data.
const EncryptionContext = '{"tenant":"7"}'
const { CiphertextBlob } = await call('Encrypt', { KeyId, Plaintext: base64('test\n'), EncryptionContext })
assert.equal((await call('Decrypt', { CiphertextBlob, EncryptionContext })).Plaintext, 'dGVzdAo=')
await refused('InvalidParameterValue.InvalidCiphertext', 'Decrypt', { CiphertextBlob })
const recipient = generateKeyPairSync('rsa', { modulusLength: 2048 })
const sealed = await call('Decrypt', {
  CiphertextBlob, EncryptionContext, EncryptionPublicKey: recipient.publicKey.export({ type: 'spki', format: 'pem' }), EncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
})
assert.equal(privateDecrypt({ key: recipient.privateKey, oaepHash: 'sha256' }, bytes(sealed.Plaintext)).toString(), 'test\n')
assert.ok((await call('RotateKey', { KeyId })).TaskId)
const moved = await call('ReEncrypt', { CiphertextBlob, SourceEncryptionContext: EncryptionContext })
assert.equal(moved.ReEncrypted, true)
assert.equal((await call('Decrypt', { CiphertextBlob: moved.CiphertextBlob })).Plaintext, 'dGVzdAo=')
assert.equal(bytes((await call('GenerateDataKey', { KeyId, KeySpec: 'AES_128' })).Plaintext).length, 16)
assert.equal(bytes((await call('GenerateRandom', { NumberOfBytes: 64 })).Plaintext).length, 64)

// Asymmetric keys.
const rsa = await create('rsa', 'ASYMMETRIC_DECRYPT_RSA_2048')
const Ciphertext = base64(publicEncrypt({ key: await publicKey(rsa), oaepHash: 'sha256', padding: constants.RSA_PKCS1_OAEP_PADDING }, Buffer.from('test\n')))
assert.equal((await call('AsymmetricRsaDecrypt', { KeyId: rsa, Ciphertext, Algorithm: 'RSAES_OAEP_SHA_256' })).Plaintext, 'dGVzdAo=')
const sm2 = await create('sm2', 'ASYMMETRIC_DECRYPT_SM2')
await refused('FailedOperation.DecryptError', 'AsymmetricSm2Decrypt', { KeyId: sm2, Ciphertext: base64('no ciphertext') })
const toSM2 = await call('Decrypt', {
  CiphertextBlob, EncryptionContext, EncryptionPublicKey: (await call('GetPublicKey', { KeyId: sm2 })).PublicKeyPem, EncryptionAlgorithm: 'SM2_C1C3C2_ASN1',
})
assert.equal((await call('AsymmetricSm2Decrypt', { KeyId: sm2, Ciphertext: toSM2.Plaintext })).Plaintext, 'dGVzdAo=')
const signing = await create('ec', 'ASYMMETRIC_SIGN_VERIFY_ECC')
const Message = base64('message')
const signature = { KeyId: signing, Algorithm: 'ECC_P256_R1', Message }
const { Signature } = await call('SignByAsymmetricKey', signature)
assert.ok(createVerify('sha256').update('message').verify(await publicKey(signing), bytes(Signature)))
const digest = await call('SignByAsymmetricKey', { ...signature, Message: createHash('sha256').update('message').digest('base64'), MessageType: 'DIGEST' })
assert.ok(verify('sha256', Buffer.from('message'), await publicKey(signing), bytes(digest.Signature)))
assert.equal((await call('VerifyByAsymmetricKey', { ...signature, SignatureValue: Signature })).SignatureValid, true)
assert.equal((await call('VerifyByAsymmetricKey', { ...signature, Message: base64('another'), SignatureValue: Signature })).SignatureValid, false)

// Import.
const external = await create('own', 'ENCRYPT_DECRYPT', { Type: 2 })
const { ImportToken, PublicKey } = await call('GetParametersForImport', { KeyId: external, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' })
const wrapping = createPublicKey({ key: bytes(PublicKey), format: 'der', type: 'spki' })
const EncryptedKeyMaterial = base64(publicEncrypt({ key: wrapping, oaepHash: 'sha256' }, randomBytes(32)))
await call('ImportKeyMaterial', { KeyId: external, ImportToken, EncryptedKeyMaterial })
await call('Encrypt', { KeyId: external, Plaintext: base64('p') })
await call('DeleteImportedKeyMaterial', { KeyId: external })
await refused('UnsupportedOperation.NotExternalCmk', 'DeleteImportedKeyMaterial', { KeyId })

// Data keys that the vault keeps.
const kept = await call('GenerateDataKey', { KeyId, KeySpec: 'AES_256', IsHostedByKms: 1, DataKeyName: 'orders' })
const DataKeyId = kept.DataKeyId
assert.equal((await call('GetDataKeyPlaintext', { DataKeyId })).Plaintext, kept.Plaintext)
const blob = (await call('GetDataKeyCiphertextBlob', { DataKeyId })).CiphertextBlob
const imported = (await call('ImportDataKey', { DataKeyName: 'again', ImportKeyMaterial: blob, ImportType: 1 })).DataKeyId
assert.equal((await call('GetDataKeyPlaintext', { DataKeyId: imported })).Plaintext, kept.Plaintext)
await call('UpdateDataKeyName', { DataKeyId, DataKeyName: 'invoices' })
await call('UpdateDataKeyDescription', { DataKeyId, Description: 'all' })
await call('DisableDataKey', { DataKeyId })
await call('EnableDataKey', { DataKeyId })
await call('DisableDataKeys', { DataKeyIds: [DataKeyId, imported] })
await call('EnableDataKeys', { DataKeyIds: [imported] })
await call('ScheduleDataKeyDeletion', { DataKeyId, PendingWindowInDays: 7 })
assert.equal((await call('DescribeDataKey', { DataKeyId })).DataKeyMetadata.KeyState, 'PendingDelete')
await call('CancelDataKeyDeletion', { DataKeyId })
assert.equal((await call('DescribeDataKeys', { DataKeyIds: [DataKeyId] })).DataKeyMetadatas[0].DataKeyName, 'invoices')
assert.equal((await call('ListDataKeys')).TotalCount, 2)
assert.equal((await call('ListDataKeyDetail', { KeyState: 2 })).DataKeyMetadatas[0].DataKeyId, DataKeyId)

// The service.
assert.equal((await call('GetRegions')).Regions.length, 1)
assert.equal((await call('GetServiceStatus')).ServiceEnabled, true)
assert.ok((await call('ListAlgorithms')).SymmetricAlgorithms.length > 0)
for (const [name, code] of Object.entries(JSON.parse(KMS_REFUSED))) await refused(code, name)

// The method GET.
assert.equal((await connect('GET').DescribeKeys({ KeyIds: [KeyId] })).KeyMetadatas[0].Alias, 'renamed')
await assert.rejects(connect('GET').Encrypt({ KeyId, Plaintext: base64('p') }), e => e.code === 'UnsupportedProtocol')
