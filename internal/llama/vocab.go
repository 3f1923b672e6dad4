package llama

// #include "shim.h"
import "C"

import (
	"math"
	"unsafe"
)

// Tokenize returns text as tokens. addSpecial adds the tokens that the model wants around a text
// (BOS, EOS); parseSpecial turns the text of control tokens into those tokens, which text from a
// user must never be allowed to.
func (m *Model) Tokenize(text string, addSpecial, parseSpecial bool) ([]Token, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	defer m.release()
	if len(text) > math.MaxInt32-16 {
		return nil, &Error{ErrInvalid, "the text is longer than 2 GB"}
	}
	buf := make([]Token, len(text)+8) // a token is at least a byte, a few are added around
	n := m.tokenize(text, addSpecial, parseSpecial, buf)
	if n < 0 && n > math.MinInt32 { // the negated number that would fit
		buf = make([]Token, -n)
		n = m.tokenize(text, addSpecial, parseSpecial, buf)
	}
	if n < 0 {
		return nil, &Error{ErrInvalid, "this text cannot be tokenised by this vocabulary"}
	}
	return buf[:n], nil
}

func (m *Model) tokenize(text string, addSpecial, parseSpecial bool, out []Token) int {
	return int(C.shim_tokenize(m.lib.table, m.ptr, stringPtr(text), C.size_t(len(text)),
		flag(addSpecial), flag(parseSpecial), tokensPtr(out), C.int32_t(len(out))))
}

// Detokenize returns the bytes of tokens, which need not be valid UTF-8. Control tokens have no
// bytes unless special is set. Ids outside the vocabulary are skipped.
func (m *Model) Detokenize(tokens []Token, special bool) ([]byte, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	defer m.release()
	buf := make([]byte, 8*len(tokens)+16)
	n := m.detokenize(tokens, special, buf)
	if n < 0 {
		buf = make([]byte, -n)
		n = m.detokenize(tokens, special, buf)
	}
	return buf[:max(n, 0)], nil
}

func (m *Model) detokenize(tokens []Token, special bool, out []byte) int {
	return int(C.shim_detokenize(m.lib.table, m.ptr, tokensPtr(tokens), C.int32_t(len(tokens)),
		flag(special), bytesPtr(out), C.size_t(len(out))))
}

// Piece returns the bytes of one token. They belong to the model: do not change them, and do not
// use them after Close.
func (m *Model) Piece(token Token, special bool) []byte {
	if m.acquire() != nil {
		return nil
	}
	defer m.release()
	var n C.int32_t
	p := C.shim_token_piece(m.lib.table, m.ptr, C.int32_t(token), flag(special), &n)
	return pieceBytes(p, n)
}

// IsEnd reports whether token ends generation.
func (m *Model) IsEnd(token Token) bool {
	if m.acquire() != nil {
		return false
	}
	defer m.release()
	return C.shim_token_is_end(m.lib.table, m.ptr, C.int32_t(token)) != 0
}

func tokensPtr(tokens []Token) *C.int32_t {
	return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(tokens)))
}

func pieceBytes(p *C.char, n C.int32_t) []byte {
	if p == nil || n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))
}
