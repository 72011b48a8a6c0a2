package tpm

import (
	"encoding/binary"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/object"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

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
func (p profile) kinds() []object.Kind {
	var list []object.Kind
	for _, k := range []struct {
		alg  driver.KeyAlgorithm
		hash tpm2.TPMAlgID
	}{{driver.HMACSHA256, tpm2.TPMAlgSHA256}, {driver.HMACSHA384, tpm2.TPMAlgSHA384}, {driver.HMACSHA512, tpm2.TPMAlgSHA512}} {
		if p.algs[tpm2.TPMAlgHMAC] && p.algs[tpm2.TPMAlgKeyedHash] && p.algs[k.hash] {
			prf := row(k.alg, driver.Derive)
			prf.Slow = true
			list = append(list, object.Kind{Row: prf, Hash: k.hash})
		}
	}
	if p.algs[tpm2.TPMAlgRSA] {
		list = append(list, object.Kind{Row: signer(driver.RSA2048, p.rsaSign()...)}, object.Kind{Row: decrypter(driver.RSA2048, p.rsaDecrypt()...)})
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
			list = append(list, object.Kind{Row: signer(k.alg, k.sign), Curve: k.curve})
		}
	}
	if p.sm2Hash != 0 {
		list = append(list, object.Kind{Row: signer(driver.SM2, driver.SM2DSA), Curve: tpm2.TPMECCSM2P256})
		if p.commands[tpm2.TPMCCECDHZGen] {
			list = append(list, object.Kind{Row: decrypter(driver.SM2, driver.SM2ASN1), Curve: tpm2.TPMECCSM2P256})
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

// probeSM2 determines whether the TPM signs with SM2, and under which hash algorithm.
// Chips that support SM3 require its identifier; others accept an SM3 digest as one of
// SHA-256. probeSM2 accepts a hash only if the signature verifies.
func (d *device) probeSM2(p profile) (tpm2.TPMAlgID, error) {
	if !p.curves[tpm2.TPMECCSM2P256] || !p.algs[tpm2.TPMAlgSM2] || !suite.SM.Usable() {
		return 0, nil
	}
	auth := format.NewAuth()
	k := object.Kind{Row: signer(driver.SM2, driver.SM2DSA), Curve: tpm2.TPMECCSM2P256}
	made, err := d.create(k.Area(format.KeyName{}.Binding(auth)), sensitiveInput{auth: auth})
	if err != nil {
		return 0, unlessUnsupported(err)
	}
	r := &resident{public: made.public, private: made.private}
	if r.handle, err = d.load(r); err != nil {
		return 0, unlessUnsupported(err)
	}
	defer d.flush(r.handle)
	area, err := object.ParseArea(made.public)
	if err != nil {
		return 0, err
	}
	for _, hash := range []tpm2.TPMAlgID{tpm2.TPMAlgSM3256, tpm2.TPMAlgSHA256} {
		if !p.algs[hash] {
			continue
		}
		digest := suite.SM.Hash(binary.BigEndian.AppendUint16(nil, uint16(hash)))
		signature, err := d.sign(r.entity(), auth, digest[:], scheme{tpm2.TPMAlgSM2, hash})
		if err == nil && verifiesSM2(area, digest[:], signature) {
			return hash, nil
		}
		if err := unlessUnsupported(err); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// unlessUnsupported returns nil for the error of a TPM that does not support SM2, and err
// otherwise. It returns err for a refused authorization too, which is unrelated to SM2.
func unlessUnsupported(err error) error {
	if code := wire.CodeOf(err); code != 0 && wire.ActionOf(code) == wire.Report && !wire.AuthRefused(code) {
		return nil
	}
	return err
}

func verifiesSM2(area *tpm2.TPMTPublic, digest, signature []byte) bool {
	der, err := object.PointDER(area)
	if err != nil {
		return false
	}
	key, err := object.ParseSM2Public(der)
	return err == nil && sm2.VerifyASN1(key, digest, signature)
}
