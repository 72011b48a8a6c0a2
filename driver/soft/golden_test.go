package soft_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// The frozen blobs of each edition, which every later version must open. root is 32 bytes
// of A5, the vault and material ids are 01 02 03 and zeros, the passphrase is "correct
// horse", and the wrapping key is 32 bytes of 07.
var golden = map[driver.Edition]struct{ protector, material string }{
	driver.Standard: {
		"5352500101010100000001000000400798313a47eeb14e74e2ce98b55c26ce850a99b0aad6848fb3d11f84bc02237cc4cb01e4cafa70081bc8b84ed5ac3ffdb2e128c4de3355ebb580d02aba588886c7e53b98a8b94987ffd29ef89683040b440526766d920438307a4eb4d48f0b57371f1120",
		"53524d01019fe5103764375ae08e4b7db0c90d6641f1ffe6d25735871cb7400b9793e27ec5e0ac97e9c6026935ac466d89fed2ea7f7ec61fbd3061f6901644a4f9",
	},
	driver.FIPS: {
		"535250010101020000000a000000005584f0aba5994407fb9b5038467189303b709247b596f1fb5e2eea9388702b10197cb0da651b3c8c86d0b45dcb9802ccc0955962299c276c0f88e7f66a9c850270377580441f6faa90527af92525559385d4850017222e7cb1b0f277ccc708856f13eaa6",
		"53524d01018f3ecfa15fc29239347e0232fc8a558c6e9f9d05b919a1d6567b438fce5e6aeb2d221145a3200489e3676a835b4de2a2ddd5756199114231b1523077",
	},
	driver.SM: {
		"535250010102030000000a000000007f224aa62aff6bc741731ac527b9a862de1524f58f8a3d197176ed29f28800bf687007d1d644b1f1cfd7143bb4cf718c3c23c5f60a8c8cf8181c9e006e55f54456b6ead19eab6842ba05870bf6310af3f5cc499028839d0c71fae12ad17575b0ebd6c3e0",
		"53524d01020ca576a4cec74aaed4ebc823cb19a0e125201213756339511cc7dca9db7852882bc87398daacb97fbdf9fcce52e2d144168527a8e4e598580f4a93c7",
	},
}

func TestGoldenBlobs(t *testing.T) {
	ctx := context.Background()
	for e, g := range golden {
		blob, err := hex.DecodeString(g.protector)
		if err != nil {
			t.Fatal(err)
		}
		b := driver.Binding{VaultID: [16]byte{1, 2, 3}, Edition: e}
		got, err := soft.Passphrase([]byte("correct horse")).Recover(ctx, nil, b, blob)
		if err != nil || !bytes.Equal(got, root) {
			t.Errorf("%v: Recover of the frozen blob: %v", e, err)
		}
		if blob, err = hex.DecodeString(g.material); err != nil {
			t.Fatal(err)
		}
		d := newDriver(t, soft.Config{Key: bytes.Repeat([]byte{7}, 32), Edition: e})
		got, err = d.ExportMaterial(ctx, soft.Material{ID: driver.MaterialID{1, 2, 3}, Spec: prfSpec, Blob: blob}, nil)
		if err != nil || !bytes.Equal(got, root) {
			t.Errorf("%v: ExportMaterial of the frozen blob: %v", e, err)
		}
	}
}
