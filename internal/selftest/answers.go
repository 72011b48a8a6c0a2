package selftest

import (
	"encoding/hex"
	"strings"

	"strongroom.example/internal/suite"
)

// answers are the known answers of one suite, in hexadecimal. The inputs are in the
// checks.
type answers struct {
	hashShort, hashLong string // of "abc", and of 600 letters a
	macShort, macLong   string // under 20 bytes 0b: of "Hi There", and of 600 letters a
	kdf                 string // 80 bytes
	pbkdf2              string
	aeads               []aeadAnswer
	public, signature   string
}

// aeadAnswer is a known answer of an AEAD.
type aeadAnswer struct{ key, nonce, plaintext, aad, ciphertext, tag string }

// answersOf holds the known answers. Their sources: "abc" from FIPS 180-4 and GB/T 32905,
// HMAC-SHA-256 from RFC 4231 (case 1), AES-GCM from McGrew and Viega's specification of
// GCM (cases 16 and 4), SM4-GCM from RFC 8998, Ed25519 from RFC 8032 (test 2), Argon2id
// from its reference implementation, and the others from OpenSSL 3.0. The SM2 public key
// is that of the seed of 32 bytes 07, and signature is one of many that verify.
var answersOf = map[suite.ID]answers{
	suite.AES: {
		hashShort: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		hashLong:  "ba35c170729417f1499e0886e7e12fcdb4ab00ad411110ae1e888c766d4ed70d",
		macShort:  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		macLong:   "8100611675732dee96a590709e58f58cd539e6bb72eb72ee9b2331db0a484b26",
		kdf: "05b238bdce3fd81b4a0a3b724432de373a00202cba7b30aa6f50b8238e90725d0d5fda6e0ef46b38ebee6c014547844362eab88a" +
			"500e43b05a13ae8e548116259e417bd236319ee4802663decf849667",
		pbkdf2: "3c95c5b00ccd9132d24d13773c8c6767400c7b6fbc0a2a207f839b46e2c015a5",
		aeads: []aeadAnswer{{
			key:   "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
			nonce: "cafebabefacedbaddecaf888",
			plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525" +
				"b16aedf5aa0de657ba637b39",
			aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			ciphertext: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838" +
				"c5f61e6393ba7a0abcc9f662",
			tag: "76fc6ece0f4e1768cddf8853bb2d551b",
		}, {
			key:   "feffe9928665731c6d6a8f9467308308",
			nonce: "cafebabefacedbaddecaf888",
			plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525" +
				"b16aedf5aa0de657ba637b39",
			aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			ciphertext: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05" +
				"1ba30b396a0aac973d58e091",
			tag: "5bc94fbc3221a5db94fae95ae7121a47",
		}},
		public: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
		signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c" +
			"387b2eaeb4302aeeb00d291612bb0c00",
	},
	suite.SM: {
		hashShort: "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
		hashLong:  "3e09cc525d90579f2bb75fa131ac5fbdeee29f48dd9ee9d1a540c8cf238c0e56",
		macShort:  "51b00d1fb49832bfb01c3ce27848e59f871d9ba938dc563b338ca964755cce70",
		macLong:   "2412f0987a9b39535b54d1c5b22c40154813b033961453f21b25158a813802d4",
		kdf: "f548c333fda0b93bced327787a8b6b707c79321ffb54362f170c35b7e0f7e27c6369c5880fcb97adfcfc89abd7bdb4eda4273ebe" +
			"923c5b7adab07e1975773bcddb1fdb5a146f9ad148e34b0a8555ac65",
		pbkdf2: "080d0861ecf0cbba13a9a0d6021e643831e37d0bee9a14a5c2d4e484286d2bfb",
		aeads: []aeadAnswer{{
			key:   "0123456789abcdeffedcba9876543210",
			nonce: "00001234567800000000abcd",
			plaintext: strings.Repeat("aa", 8) + strings.Repeat("bb", 8) + strings.Repeat("cc", 8) + strings.Repeat("dd", 8) +
				strings.Repeat("ee", 8) + strings.Repeat("ff", 8) + strings.Repeat("ee", 8) + strings.Repeat("aa", 8),
			aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			ciphertext: "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15" +
				"a56834cbcf98c397b4024a2691233b8d",
			tag: "83de3541e4c2b58177e065a9bf7b62ec",
		}},
		public: "04633d1d67fcb3709e99d3dfd78f051a734266c30ca0a5745d1db6f8dbf3395a5d595032f13dc685ef1be58b93e7a5aa6eeafe64a9" +
			"0d052b8234d62b20113836f0",
		signature: "30450220050aea252e7ff79f8affdab44370d956c1c2530de6b30817cf9775191b7790d9022100da20618ba24bbb2cefaa46" +
			"0adc760b6b5f9762decf3d18800f57f7a6f91dfbde",
	},
}

// argon2Answer is the answer for "password" and "somesalt", 1 pass, 64 KiB, 1 lane.
const argon2Answer = "655ad15eac652dc59f7170a7332bf49b8469be1fdb9c28bb"

// The known answer of AES key wrap with padding, from RFC 5649.
const (
	wrapKey      = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"
	wrapMaterial = "c37b7e6492584340bed12207808941155068f738"
	wrapAnswer   = "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"
)

// unhex decodes a constant of this file.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("selftest: a known answer is not hexadecimal")
	}
	return b
}
