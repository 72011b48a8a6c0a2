package vault

import "context"

// ReEncrypt decrypts ct and encrypts its plaintext under key, without releasing
// it; an empty key means the CMK that ct names, and brings it to the primary
// version. from and to are the encryption contexts before and after. Both sides
// are authorized and recorded.
func (c Client) ReEncrypt(ctx context.Context, ct []byte, key string, from, to EncryptionContext) ([]byte, error) {
	canonical, err := to.canonical()
	if err != nil {
		return nil, c.reject(OpReEncryptTo, key, err)
	}
	var plain *DataKey // the plaintext on its way; Close finds it there
	var n int
	err = c.open(ctx, OpReEncryptFrom, message{bytes: ct, context: from}, func(ctx context.Context, m message) (_ int, err error) {
		if key == "" {
			key = m.keyID()
		}
		plain.Destroy()
		plain, n, err = c.vault.unsealed(ctx, m)
		return n, err
	})
	defer func() { plain.Destroy() }()
	if err != nil {
		return nil, err
	}
	var out []byte
	q := request{op: OpReEncryptTo, key: key, context: to, size: n}
	err = c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) error {
		e.rec.Algorithm = c.vault.suite.String()
		return plain.Use(func(b []byte) (err error) {
			out, err = c.vault.seal(ctx, t, canonical, b[:n])
			e.rec.OutputSize = uint64(len(out))
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
