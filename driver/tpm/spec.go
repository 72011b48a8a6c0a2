package tpm

import (
	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// A kind is a key spec in the TPM's terms.
type kind struct {
	row   driver.SpecInfo
	curve tpm2.TPMECCCurve // 0 if not on a curve
}

func row(alg driver.KeyAlgorithm, usage driver.Usage) driver.SpecInfo {
	return driver.SpecInfo{Spec: driver.KeySpec{Algorithm: alg, Usage: usage}, Resident: true, Import: true}
}

func signer(alg driver.KeyAlgorithm, algs ...driver.SignAlg) driver.SpecInfo {
	r := row(alg, driver.Sign)
	r.Sign = algs
	return r
}

func decrypter(alg driver.KeyAlgorithm, algs ...driver.EncryptAlg) driver.SpecInfo {
	r := row(alg, driver.Decrypt)
	r.Decrypt = algs
	return r
}

// kinds lists the specs that this TPM supports. RSA is limited to 2048 bits, the longest
// that all chips support.
func (p profile) kinds() []kind {
	var list []kind
	if p.algs[tpm2.TPMAlgHMAC] && p.algs[tpm2.TPMAlgKeyedHash] && p.algs[tpm2.TPMAlgSHA256] {
		prf := row(driver.HMACSHA256, driver.Derive)
		prf.Slow = true
		list = append(list, kind{row: prf})
	}
	if p.algs[tpm2.TPMAlgRSA] {
		list = append(list, kind{row: signer(driver.RSA2048, p.rsaSign()...)}, kind{row: decrypter(driver.RSA2048, p.rsaDecrypt()...)})
	}
	for _, k := range []struct {
		alg   driver.KeyAlgorithm
		curve tpm2.TPMECCCurve
		hash  tpm2.TPMAlgID
		sign  driver.SignAlg
	}{
		{driver.ECP256, tpm2.TPMECCNistP256, tpm2.TPMAlgSHA256, driver.ECDSASHA256},
		{driver.ECP384, tpm2.TPMECCNistP384, tpm2.TPMAlgSHA384, driver.ECDSASHA384},
		{driver.ECP521, tpm2.TPMECCNistP521, tpm2.TPMAlgSHA512, driver.ECDSASHA512},
	} {
		if p.algs[tpm2.TPMAlgECDSA] && p.algs[k.hash] && p.curves[k.curve] {
			list = append(list, kind{signer(k.alg, k.sign), k.curve})
		}
	}
	if p.sm2Hash != 0 {
		list = append(list, kind{signer(driver.SM2, driver.SM2DSA), tpm2.TPMECCSM2P256})
		if p.commands[tpm2.TPMCCECDHZGen] {
			list = append(list, kind{decrypter(driver.SM2, driver.SM2ASN1), tpm2.TPMECCSM2P256})
		}
	}
	return list
}

func (p profile) rsaSign() []driver.SignAlg {
	var algs []driver.SignAlg
	for _, a := range []struct {
		hash tpm2.TPMAlgID
		alg  driver.SignAlg
	}{
		{tpm2.TPMAlgSHA256, driver.RSAPKCS1SHA256},
		{tpm2.TPMAlgSHA384, driver.RSAPKCS1SHA384},
		{tpm2.TPMAlgSHA512, driver.RSAPKCS1SHA512},
		{tpm2.TPMAlgSHA256, driver.RSAPSSSHA256},
		{tpm2.TPMAlgSHA384, driver.RSAPSSSHA384},
		{tpm2.TPMAlgSHA512, driver.RSAPSSSHA512},
	} {
		pss := p.algs[tpm2.TPMAlgRSAPSS] && p.saltsByHash()
		if p.algs[a.hash] && (pss || !a.alg.IsPSS()) {
			algs = append(algs, a.alg)
		}
	}
	return algs
}

func (p profile) rsaDecrypt() []driver.EncryptAlg {
	algs := []driver.EncryptAlg{driver.RSARaw}
	if p.algs[tpm2.TPMAlgOAEP] && p.algs[tpm2.TPMAlgSHA1] {
		algs = append(algs, driver.RSAOAEPSHA1)
	}
	if p.algs[tpm2.TPMAlgOAEP] && p.algs[tpm2.TPMAlgSHA256] {
		algs = append(algs, driver.RSAOAEPSHA256)
	}
	return algs
}
