package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"unicode/utf8"

	"strongroom.example/internal/ciphertext"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/cursor"
	"strongroom.example/vault/internal/inputcopy"
	"strongroom.example/vault/internal/ordered"
)

// MaxPlaintext is the maximum length of Encrypt's plaintext in bytes. Encrypt larger data
// under a data key.
const MaxPlaintext = ciphertext.MaxPlaintext

// Overhead is the difference in bytes between the lengths of a ciphertext and its
// plaintext.
const Overhead = ciphertext.Overhead

// Encrypt encrypts plaintext (0 to MaxPlaintext bytes) under the CMK's primary version and
// binds it to the encryption context. The ciphertext names the CMK and its version. Errors:
// ErrTooLarge; ErrNotFound; ErrDenied; ErrKeyState; ErrInvalid or ErrTooLarge for an
// invalid context (see EncryptionContext).
func (c Client) Encrypt(ctx context.Context, key string, plaintext []byte, ec EncryptionContext) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, c.argumentError(ctx, request{op: OpEncrypt, key: key}, fmt.Errorf("%w: plaintext has %d bytes, the limit is %d; use a data key", ErrTooLarge, len(plaintext), MaxPlaintext))
	}
	bound, err := ec.snapshot()
	if err != nil {
		return nil, c.argumentError(ctx, request{op: OpEncrypt, key: key}, err)
	}
	plain := c.vault.copyInput(plaintext)
	defer plain.Release()
	q := request{op: OpEncrypt, key: key, context: bound, size: len(plaintext)}
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) ([]byte, error) {
		d.rec.Algorithm = c.vault.suite.String()
		out, err := c.vault.encryptMessage(ctx, d.t, bound.canonical, plain.Bytes)
		d.rec.OutputSize = uint64(len(out))
		return out, err
	}, nil)
}

// Decrypt decrypts a ciphertext of Encrypt, ReEncrypt or GenerateDataKey, given the same
// encryption context. The caller wipes the plaintext. Errors: ErrCiphertext for every fault
// of the ciphertext and for a different context; ErrInvalid and ErrTooLarge for an invalid
// context; ErrDenied; ErrKeyState.
func (c Client) Decrypt(ctx context.Context, ct []byte, ec EncryptionContext) ([]byte, error) {
	return c.AppendDecrypt(ctx, nil, ct, ec)
}

// AppendDecrypt is like Decrypt, and appends the plaintext to dst, which may be ct[:0]. It
// writes to dst once the audit record is durable, and leaves dst unchanged after an error.
// The caller wipes the plaintext.
func (c Client) AppendDecrypt(ctx context.Context, dst, ct []byte, ec EncryptionContext) ([]byte, error) {
	own, plain := c.vault.copyInput(ct[:min(len(ct), inputcopy.Pooled+1)]), c.vault.copyInput(nil)
	defer own.Release()
	defer plain.Release()
	got, err := openCiphertext(ctx, c, request{op: OpDecrypt}, own.Bytes, ec, func(ctx context.Context, d *decision, m message) ([]byte, error) {
		got, err := c.vault.decryptMessage(ctx, m, plain.Bytes[:0])
		d.rec.OutputSize = uint64(len(got))
		return got, err
	}, nil)
	if err != nil {
		return nil, err
	}
	return append(dst, got...), nil
}

// ReEncrypt decrypts ct and encrypts the plaintext under the primary version of key,
// without releasing the plaintext. An empty key means the CMK that ct names. from and to
// are the encryption contexts before and after.
//
// ReEncrypt is authorized as ReEncryptFrom on the first CMK and as ReEncryptTo on the
// second, before either is used, and writes a record for each in one commit. The commit
// fails unless both CMKs are unchanged and both permissions are still valid. Errors: those
// of Decrypt for ct and from, those of Encrypt for key and to.
func (c Client) ReEncrypt(ctx context.Context, ct []byte, key string, from, to EncryptionContext) ([]byte, error) {
	bound, err := to.snapshot()
	if err != nil {
		return nil, c.argumentError(ctx, request{op: OpReEncryptTo, key: key}, err)
	}
	own := c.vault.copyInput(ct[:min(len(ct), inputcopy.Pooled+1)])
	defer own.Release()
	m, err := readMessage(own.Bytes, from)
	if err != nil {
		return nil, c.argumentError(ctx, request{op: OpReEncryptFrom}, err)
	}
	q := request{op: OpReEncryptFrom, key: m.keyID(), version: m.header.Version, context: m.context, size: len(m.bytes)}
	second := request{op: OpReEncryptTo, key: cmp.Or(key, m.keyID()), context: bound}
	out, err := operate(ctx, c, q, func(ctx context.Context, d *decision) ([]byte, error) {
		return d.reEncrypt(ctx, m, second, nil)
	}, nil)
	var mine *Error
	if errors.As(err, &mine) && mine.Op == OpReEncryptFrom {
		err = asCiphertext(OpReEncryptFrom, err)
	}
	return out, err
}

// reEncrypt decides on the second CMK, decrypts m, encrypts the plaintext, and commits both
// records. keep, if it is set, stores the new ciphertext in the same commit.
func (d *decision) reEncrypt(ctx context.Context, m message, second request, keep func(*keystore.Tx, []byte)) (out []byte, err error) {
	v := d.client.vault
	d.rec.Algorithm = v.suite.String()
	to, err := d.client.decideSecond(ctx, second)
	if err != nil {
		return nil, err
	}
	to.q.counted.limited = d.q.counted.second
	if err := to.limit(ctx); err != nil {
		return nil, err
	}
	d.q.counted.second = true
	plain, n, err := v.decryptToDataKey(ctx, m)
	defer plain.Destroy()
	d.rec.OutputSize = uint64(n)
	if err != nil {
		return nil, d.fail(ctx, err)
	}
	to.rec.Algorithm, to.rec.InputSize = v.suite.String(), uint64(n)
	err = plain.Use(func(b []byte) (err error) {
		out, err = v.encryptMessage(ctx, to.t, second.context.canonical, b[:n])
		return err
	})
	if err != nil {
		return nil, wrap(OpReEncryptTo, to.t.ID, to.fail(ctx, err))
	}
	to.rec.OutputSize = uint64(len(out))
	p := commitPlan{check: unchanged, also: to}
	if keep != nil {
		p.change = func(tx *keystore.Tx) error {
			keep(tx, out)
			return nil
		}
	}
	return out, d.commitLate(ctx, p)
}

// A ReEncryptItem is one ciphertext for ReEncryptAll.
type ReEncryptItem struct {
	// ID is the program's own name for the ciphertext, such as the primary key of its row.
	ID         string
	Ciphertext []byte
	// From and To are the encryption contexts before and after. A nil To means From.
	From, To EncryptionContext
}

// ReEncrypted is the result for one ReEncryptItem.
type ReEncrypted struct {
	ID         string
	Ciphertext []byte
	// Unchanged: the ciphertext is of the primary version and context already. It was not
	// decrypted, and so not verified.
	Unchanged bool
	// Err is the error of an item that was not re-encrypted; Ciphertext is then the one that
	// was given.
	Err error
}

// ReEncryptProgress is the progress of a ReEncryptAll.
type ReEncryptProgress struct {
	// Done is the number of items that the sink has accepted, those before a resumption
	// included. Unchanged and Failed count those of this call.
	Done, Unchanged, Failed uint64
	// LastID is the id of the last item that the sink accepted in this call.
	LastID string
	// Resume is the token with which ReEncryptAll goes on behind that item.
	Resume string
}

// ReEncryptOptions are the options of ReEncryptAll. The zero value is valid.
type ReEncryptOptions struct {
	// Callers is the number of items that are re-encrypted at a time, up to 64. 0 means 8.
	Callers int
	// Resume is the Resume of a ReEncryptProgress for the same principal, CMK and source. The
	// source yields the same items again, and those that were done are skipped. Empty means
	// from the first item on.
	Resume string
	// Progress, if set, is called after each item that the sink accepted. Store its Resume
	// with the results or after them, never before.
	Progress func(ReEncryptProgress)
}

const (
	defaultReEncryptCallers = 8
	maxReEncryptCallers     = 64
)

// ReEncryptAll re-encrypts the ciphertexts of source under the primary version of a CMK by
// ReEncrypt, several at a time. It passes the results to sink in the order of source. source,
// sink and Progress run in the caller's goroutine, never at the same time.
//
// Each item is accepted when sink returns nil for it; sink stores it before. If ReEncryptAll
// ends early or the process is killed, the Resume of the last progress continues behind the
// last item that it covers: no item is left out, and items that were accepted after that
// progress are passed to sink once more.
//
// An item that cannot be re-encrypted (ErrCiphertext, ErrInvalid, ErrTooLarge, ErrDenied, or
// ErrKeyState of another CMK) is passed to sink with that error, and sink decides whether to
// go on. Every other error ends ReEncryptAll, as do those of source and sink, which are
// returned as they are.
//
// ReEncryptAll is authorized and recorded once as ReEncryptTo on the CMK, with the detail
// "bulk" and without a context, and then for each item as ReEncrypt is. Errors: those of ReEncrypt; ErrInvalid for
// the options; ErrToken for a token that was not made for this principal, CMK and source.
func (c Client) ReEncryptAll(ctx context.Context, key string, source iter.Seq2[ReEncryptItem, error], sink func(context.Context, ReEncrypted) error, o ReEncryptOptions) (ReEncryptProgress, error) {
	q := request{op: OpReEncryptTo, key: key}
	if err := checkReEncryptAll(key, source == nil || sink == nil, &o); err != nil {
		return ReEncryptProgress{}, c.argumentError(ctx, q, err)
	}
	r := bulkReEncryption{client: c, sink: sink, report: o.Progress}
	_, err := useKey(ctx, c, q, func(_ context.Context, d *decision) (struct{}, error) {
		d.rec.Detail = map[string]string{"bulk": "begin"}
		d.rec.KeyVersion = 0 // the record is no use of a version; see useOf
		r.key = d.t.ID
		return struct{}{}, r.resume(o.Resume)
	}, nil)
	if err != nil {
		return ReEncryptProgress{}, err
	}
	err = ordered.Map(ctx, o.Callers, r.remaining(source), r.reEncrypt, func(out ReEncrypted) error { return r.accept(ctx, out) })
	return r.progress, err
}

// checkReEncryptAll checks the arguments and fills in defaults.
func checkReEncryptAll(key string, absent bool, o *ReEncryptOptions) error {
	switch {
	case key == "":
		return invalid("ReEncryptAll needs the CMK to encrypt under")
	case absent:
		return invalid("the source or the sink is nil")
	case o.Callers < 0 || o.Callers > maxReEncryptCallers:
		return invalid("ReEncryptAll has 1 to %d callers, not %d", maxReEncryptCallers, o.Callers)
	case o.Callers == 0:
		o.Callers = defaultReEncryptCallers
	}
	return nil
}

// bulkReEncryption is the state of one ReEncryptAll.
type bulkReEncryption struct {
	client   Client
	key      string // the CMK's id
	sink     func(context.Context, ReEncrypted) error
	report   func(ReEncryptProgress)
	progress ReEncryptProgress
	done     ordered.Position // the items that were done before
}

// markOf returns the mark of an item in a resume token.
func (r *bulkReEncryption) markOf(id string) ordered.Mark {
	sum := r.client.vault.suite.Sum([]byte(id))
	return ordered.Mark(sum[:])
}

// resumeToken returns the resume token of a progress.
func (r *bulkReEncryption) resumeToken(p ReEncryptProgress) (string, error) {
	v := r.client.vault
	if err := v.enter(); err != nil {
		return "", wrap(OpReEncryptTo, r.key, err)
	}
	defer v.leave()
	position := ordered.Position{Done: p.Done, Last: r.markOf(p.LastID)}
	return cursor.Seal(v.cursorMAC, r.scope(), position.Encode()), nil
}

func (r *bulkReEncryption) scope() []byte { return r.client.listScope("ReEncryptAll", r.key) }

// resume reads a resume token.
func (r *bulkReEncryption) resume(token string) error {
	if token == "" {
		return nil
	}
	position, err := cursor.Open(r.client.vault.cursorMAC, r.scope(), token)
	done, ok := ordered.ParsePosition(position)
	if err != nil || !ok {
		return fmt.Errorf("%w: it was not made for this principal and CMK; begin without a token", ErrToken)
	}
	r.done, r.progress.Done, r.progress.Resume = done, done.Done, token
	return nil
}

// errOtherSource ends ReEncryptAll because the source is not the one of the resume token.
var errOtherSource = fmt.Errorf("%w: the source does not yield the items that were done before; begin without a token", ErrToken)

// remaining returns the items of source that were not done before.
func (r *bulkReEncryption) remaining(source iter.Seq2[ReEncryptItem, error]) iter.Seq2[ReEncryptItem, error] {
	other := &Error{Op: OpReEncryptTo, Key: r.key, Err: errOtherSource}
	return ordered.Behind(r.done, source, func(i ReEncryptItem) ordered.Mark { return r.markOf(i.ID) }, other)
}

// reEncrypt re-encrypts one item. It returns an error that ends ReEncryptAll.
func (r *bulkReEncryption) reEncrypt(ctx context.Context, item ReEncryptItem) (ReEncrypted, error) {
	if item.To == nil {
		item.To = item.From
	}
	out := ReEncrypted{ID: item.ID, Ciphertext: item.Ciphertext}
	if r.isCurrent(ctx, item) {
		out.Unchanged = true
		return out, nil
	}
	ct, err := r.client.ReEncrypt(ctx, item.Ciphertext, r.key, item.From, item.To)
	switch {
	case err == nil:
		out.Ciphertext = ct
	case r.ofItem(err):
		out.Err = err
	default:
		return out, err
	}
	return out, nil
}

// ofItem reports whether an error is that of one item, and not one that every item would
// have.
func (r *bulkReEncryption) ofItem(err error) bool {
	for _, own := range []error{ErrCiphertext, ErrInvalid, ErrTooLarge} {
		if errors.Is(err, own) {
			return true
		}
	}
	var e *Error
	ofOther := errors.Is(err, ErrKeyState) && errors.As(err, &e) && e.Key != r.key
	return ofOther || errors.Is(err, ErrDenied) && !errors.Is(err, errAuthorizer)
}

// isCurrent reports whether the item's ciphertext is of the CMK's primary version, and its
// context is not to be changed.
func (r *bulkReEncryption) isCurrent(ctx context.Context, item ReEncryptItem) bool {
	v := r.client.vault
	if v.enter() != nil {
		return false
	}
	defer v.leave()
	m, err := readMessage(item.Ciphertext, item.From)
	if err != nil || m.keyID() != r.key {
		return false
	}
	to, err := item.To.snapshot()
	if err != nil || !bytes.Equal(to.canonical, m.context.canonical) {
		return false
	}
	t, err := v.records.key(ctx, r.key)
	return err == nil && t.Version == m.header.Version
}

// accept passes a result to the sink, and reports the progress if the sink accepts it.
func (r *bulkReEncryption) accept(ctx context.Context, out ReEncrypted) error {
	next := r.progress
	next.Done, next.LastID = next.Done+1, out.ID
	if out.Unchanged {
		next.Unchanged++
	}
	if out.Err != nil {
		next.Failed++
	}
	var err error
	if next.Resume, err = r.resumeToken(next); err != nil { // before the sink stores the result
		return err
	}
	if err := r.sink(ctx, out); err != nil {
		return err
	}
	if r.progress = next; r.report != nil {
		r.report(next)
	}
	return nil
}

// EncryptionContext is a set of name-value pairs to which a ciphertext is bound: Decrypt
// needs the same pairs, in any order. It is authenticated, not secret. Names and values are
// UTF-8 and no name is empty (otherwise ErrInvalid). The total length, with 4 bytes added
// for each pair and 2 for the whole, is at most 8 KiB (otherwise ErrTooLarge). nil and an
// empty context are equivalent.
type EncryptionContext map[string]string

// maxPairs is an upper bound of the number of pairs, because each pair takes at least five
// bytes.
const maxPairs = ciphertext.MaxContext / 5

// boundContext is a copy of an encryption context, made at the beginning of the operation.
// The vault authorizes, records and authenticates this copy; the caller's map may change
// afterwards.
type boundContext struct {
	pairs     EncryptionContext
	canonical []byte
}

// snapshot copies the context, or returns what is wrong with it.
func (ec EncryptionContext) snapshot() (boundContext, error) {
	if len(ec) > maxPairs {
		return boundContext{}, errContextTooLarge
	}
	own := maps.Clone(ec)
	canonical, err := ciphertext.CanonicalContext(own)
	if err != nil {
		return boundContext{}, own.fault()
	}
	return boundContext{own, canonical}, nil
}

var errContextTooLarge = fmt.Errorf("%w: the encryption context has more than %d bytes, including 4 for each pair and 2 for the whole", ErrTooLarge, ciphertext.MaxContext)

// fault returns the reason why the context is invalid.
func (ec EncryptionContext) fault() error {
	for name, value := range ec {
		if name == "" {
			return invalid("the encryption context has an empty name")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return invalid("the encryption context is not UTF-8")
		}
	}
	return errContextTooLarge
}
