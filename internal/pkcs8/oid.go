package pkcs8

// The object identifiers of algorithms and curves of CMKs, as the content bytes of their
// DER.
const (
	oidRSA     = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" // 1.2.840.113549.1.1.1, RFC 8017
	oidPSS     = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" // 1.2.840.113549.1.1.10, RFC 4055
	oidMGF1    = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08" // 1.2.840.113549.1.1.8, RFC 4055
	oidEC      = "\x2a\x86\x48\xce\x3d\x02\x01"         // 1.2.840.10045.2.1, RFC 5480
	oidSM2     = "\x2a\x81\x1c\xcf\x55\x01\x82\x2d"     // 1.2.156.10197.1.301, GM/T 0006
	oidEd25519 = "\x2b\x65\x70"                         // 1.3.101.112, RFC 8410
	oidP256    = "\x2a\x86\x48\xce\x3d\x03\x01\x07"     // 1.2.840.10045.3.1.7, RFC 5480
	oidP384    = "\x2b\x81\x04\x00\x22"                 // 1.3.132.0.34, RFC 5480
	oidP521    = "\x2b\x81\x04\x00\x23"                 // 1.3.132.0.35, RFC 5480
)

// curveName returns the name of a curve.
func curveName(oid []byte) string {
	names := map[string]string{
		"1.2.840.10045.3.1.7": "P-256", "1.3.132.0.34": "P-384", "1.3.132.0.35": "P-521",
		"1.2.156.10197.1.301": "sm2p256v1", "1.3.132.0.33": "P-224", "1.2.840.10045.3.1.1": "P-192",
		"1.3.132.0.10": "secp256k1", "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
		"1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1", "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
	}
	id := dotted(oid)
	if name, ok := names[id]; ok {
		return name
	}
	return id
}

// algorithmName returns the name of an algorithm that no CMK has.
func algorithmName(oid []byte) string {
	names := map[string]string{
		"1.2.840.113549.1.1.7": "RSA restricted to OAEP (id-RSAES-OAEP)", "1.3.132.1.12": "EC for key agreement (id-ecDH)",
		"1.2.840.10040.4.1": "DSA", "1.2.840.113549.1.3.1": "Diffie-Hellman", "1.2.840.10046.2.1": "Diffie-Hellman (X9.42)",
		"1.3.101.110": "X25519", "1.3.101.111": "X448", "1.3.101.113": "Ed448",
		"2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
		"1.2.156.10197.1.302": "SM9",
	}
	id := dotted(oid)
	if name, ok := names[id]; ok {
		return name
	}
	return "of algorithm " + id
}
