"""Calls every operation by the SDK for Python.

KMS_ENDPOINT is the host and port of the server, and KMS_REFUSED a JSON object of the operations
that it refuses, with their error codes. It ends with an error if a result is wrong.
"""

import base64
import json
import os
import subprocess
import tempfile
import time

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.kms.v20190118 import kms_client, models


def connect(method):
    http = HttpProfile(protocol="http", endpoint=os.environ["KMS_ENDPOINT"], reqMethod=method)
    return kms_client.KmsClient(credential.EnvironmentVariableCredential().get_credential(), "ap-guangzhou", ClientProfile(httpProfile=http))


client = connect("POST")


def call(action, client=client, **parameters):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(parameters))
    return getattr(client, action)(request)


def refused(code, action, client=client, **parameters):
    try:
        response = call(action, client, **parameters)
    except TencentCloudSDKException as e:
        assert e.code == code and e.requestId, e
        return
    raise AssertionError(f"{action}: {response}")


def encoded(data):
    return base64.b64encode(data).decode()


def openssl(*args, data):
    return subprocess.run(("openssl",) + args, input=data, check=True, capture_output=True).stdout


directory = tempfile.TemporaryDirectory()


def file(data):
    name = os.path.join(directory.name, str(len(os.listdir(directory.name))))
    with open(name, "wb") as f:
        f.write(data)
    return name


def public_key(key):
    return file(call("GetPublicKey", KeyId=key).PublicKeyPem.encode())


# Keys.
made = call("CreateKey", Alias="python", Description="订单", Tags=[{"TagKey": "team", "TagValue": "shop"}])
key = made.KeyId
assert made.KeyState == "Enabled"
assert call("DescribeKey", KeyId=key).KeyMetadata.Description == "订单"
call("UpdateAlias", KeyId=key, Alias="renamed")
call("UpdateKeyDescription", KeyId=key, Description="new")
assert call("DescribeKeys", KeyIds=[key]).KeyMetadatas[0].Alias == "renamed"
assert call("ListKeys", Limit=1).TotalCount == 1
assert call("ListKeyDetail", TagFilters=[{"TagKey": "team", "TagValue": ["shop"]}]).KeyMetadatas[0].KeyId == key
call("BindCloudResource", KeyId=key, ProductId="cos", ResourceId="bucket")
refused("FailedOperation.CmkUsedByCloudProduct", "DisableKey", KeyId=key)
call("UnbindCloudResource", KeyId=key, ProductId="cos", ResourceId="bucket")
call("ArchiveKey", KeyId=key)
call("CancelKeyArchive", KeyId=key)
call("DisableKey", KeyId=key)
refused("ResourceUnavailable.CmkDisabled", "Encrypt", KeyId=key, Plaintext=encoded(b"p"))
call("EnableKey", KeyId=key)
call("DisableKeys", KeyIds=[key])
assert call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7).DeletionDate > time.time()
call("CancelKeyDeletion", KeyId=key)
call("EnableKeys", KeyIds=[key])
call("EnableKeyRotation", KeyId=key, RotateDays=90)
assert call("GetKeyRotationStatus", KeyId=key).KeyRotationEnabled
call("DisableKeyRotation", KeyId=key)

# Data.
context = '{"tenant":"7"}'
blob = call("Encrypt", KeyId=key, Plaintext=encoded(b"test\n"), EncryptionContext=context).CiphertextBlob
assert call("Decrypt", CiphertextBlob=blob, EncryptionContext=context).Plaintext == "dGVzdAo="
refused("InvalidParameterValue.InvalidCiphertext", "Decrypt", CiphertextBlob=blob)
assert call("RotateKey", KeyId=key).TaskId
moved = call("ReEncrypt", CiphertextBlob=blob, SourceEncryptionContext=context)
assert moved.ReEncrypted and call("Decrypt", CiphertextBlob=moved.CiphertextBlob).Plaintext == "dGVzdAo="
assert len(base64.b64decode(call("GenerateDataKey", KeyId=key, KeySpec="AES_128").Plaintext)) == 16
assert len(base64.b64decode(call("GenerateRandom", NumberOfBytes=64).Plaintext)) == 64

# Asymmetric keys.
rsa = call("CreateKey", Alias="rsa", KeyUsage="ASYMMETRIC_DECRYPT_RSA_2048").KeyId
oaep = ("-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256")
ciphertext = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public_key(rsa), *oaep, data=b"test\n")
assert call("AsymmetricRsaDecrypt", KeyId=rsa, Ciphertext=encoded(ciphertext), Algorithm="RSAES_OAEP_SHA_256").Plaintext == "dGVzdAo="
sm2 = call("CreateKey", Alias="sm2", KeyUsage="ASYMMETRIC_DECRYPT_SM2").KeyId
ciphertext = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public_key(sm2), data=b"test\n")
assert call("AsymmetricSm2Decrypt", KeyId=sm2, Ciphertext=encoded(ciphertext)).Plaintext == "dGVzdAo="
signing = call("CreateKey", Alias="signing", KeyUsage="ASYMMETRIC_SIGN_VERIFY_ECC").KeyId
signature = {"KeyId": signing, "Algorithm": "ECC_P256_R1"}
value = call("SignByAsymmetricKey", Message=encoded(b"message"), **signature).Signature
openssl("dgst", "-sha256", "-verify", public_key(signing), "-signature", file(base64.b64decode(value)), data=b"message")
for message, valid in ((b"message", True), (b"another", False)):
    assert call("VerifyByAsymmetricKey", Message=encoded(message), SignatureValue=value, **signature).SignatureValid == valid

# Import.
external = call("CreateKey", Alias="own", Type=2).KeyId
parameters = call("GetParametersForImport", KeyId=external, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
wrapping = file(base64.b64decode(parameters.PublicKey))
material = openssl("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", wrapping, *oaep, data=os.urandom(32))
call("ImportKeyMaterial", KeyId=external, ImportToken=parameters.ImportToken, EncryptedKeyMaterial=encoded(material))
call("Encrypt", KeyId=external, Plaintext=encoded(b"p"))
call("DeleteImportedKeyMaterial", KeyId=external)
refused("UnsupportedOperation.NotExternalCmk", "DeleteImportedKeyMaterial", KeyId=key)

# Data keys that the vault keeps.
kept = call("GenerateDataKey", KeyId=key, KeySpec="AES_256", IsHostedByKms=1, DataKeyName="orders")
one = kept.DataKeyId
assert call("GetDataKeyPlaintext", DataKeyId=one).Plaintext == kept.Plaintext
blob = call("GetDataKeyCiphertextBlob", DataKeyId=one).CiphertextBlob
two = call("ImportDataKey", DataKeyName="again", ImportKeyMaterial=blob, ImportType=1).DataKeyId
assert call("GetDataKeyPlaintext", DataKeyId=two).Plaintext == kept.Plaintext
call("UpdateDataKeyName", DataKeyId=one, DataKeyName="invoices")
call("UpdateDataKeyDescription", DataKeyId=one, Description="all")
call("DisableDataKey", DataKeyId=one)
call("EnableDataKey", DataKeyId=one)
call("DisableDataKeys", DataKeyIds=[one, two])
call("EnableDataKeys", DataKeyIds=[two])
call("ScheduleDataKeyDeletion", DataKeyId=one, PendingWindowInDays=7)
assert call("DescribeDataKey", DataKeyId=one).DataKeyMetadata.KeyState == "PendingDelete"
call("CancelDataKeyDeletion", DataKeyId=one)
assert call("DescribeDataKeys", DataKeyIds=[one]).DataKeyMetadatas[0].DataKeyName == "invoices"
assert call("ListDataKeys").TotalCount == 2
assert call("ListDataKeyDetail", KeyState=2).DataKeyMetadatas[0].DataKeyId == one

# The service.
assert len(call("GetRegions").Regions) == 1
assert call("GetServiceStatus").ServiceEnabled
assert call("ListAlgorithms").SymmetricAlgorithms
for action, code in json.loads(os.environ["KMS_REFUSED"]).items():
    refused(code, action)

# The method GET.
assert call("DescribeKeys", connect("GET"), KeyIds=[key]).KeyMetadatas[0].Alias == "renamed"
refused("UnsupportedProtocol", "Encrypt", connect("GET"), KeyId=key, Plaintext=encoded(b"p"))
