package mullama

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/llama"
)

// wordCache remembers the tokens of words, so that text of known words needs no call into
// llama.cpp, which takes some 45 µs for a short sentence: it builds its expressions anew each
// time.
//
// It is exact by its construction. Vocabularies of byte pairs split a text into words first, and
// make tokens of each word alone. The splits here are llama.cpp's, for text of ASCII; the tokens of
// a word that is met for the first time come from llama.cpp. Other text, and text in which a
// special token may begin, is left to llama.cpp as a whole.
type wordCache struct {
	next     splitter
	plain    [256]bool // bytes that a text for the cache may have
	tokenize func(text string) ([]Token, error)
	// What the model wants before and after every text. They are nil, and around is false, where
	// that is not known.
	before, after []Token
	around        bool

	mu    sync.RWMutex // guards words
	words map[string][]Token
}

// splitter returns where the word ends that begins where the walk is. It has at least a byte.
type splitter func(words) int

const (
	asciiEnd  = 0x80
	wordsMost = 50_000 // words in the cache; when it is full, it begins anew
	wordMost  = 32     // bytes of a word in the cache
	textMost  = 4096   // bytes of a text that the cache is asked for
)

// splitters are those of the kinds of vocabularies, by the GGUF key tokenizer.ggml.pre.
var splitters = map[string]splitter{
	"gpt-2": nextGPT2, "phi-2": nextGPT2, "olmo": nextGPT2, "mpt": nextGPT2,
	"smollm": nextOrDigit, "starcoder": nextOrDigit, "refact": nextOrDigit,
	"command-r": nextOrDigit, "codeshell": nextOrDigit, "exaone": nextOrDigit,
	"llama-bpe": nextLlama3, "llama3": nextLlama3, "llama-v3": nextLlama3,
	"falcon3": nextLlama3, "pixtral": nextLlama3, "dbrx": nextLlama3,
	"smaug-bpe": nextLlama3,
	"qwen2":     nextQwen2, "deepseek-r1-qwen": nextQwen2, "stablelm2": nextQwen2,
}

// newWordCache returns nil for a vocabulary that it does not know, and for a file that cannot be
// read any more.
func newWordCache(path string, weights *llama.Model) *wordCache {
	const everyToken = 1 << 24
	f, err := gguf.Open(path, gguf.KeepArrays(everyToken))
	if err != nil || f.String("tokenizer.ggml.model") != "gpt2" {
		return nil
	}
	next := splitters[f.String("tokenizer.ggml.pre")]
	texts, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil || next == nil {
		return nil
	}
	types, err := f.Ints("tokenizer.ggml.token_type")
	if err != nil || len(types) != len(texts) {
		return nil
	}
	c := makeWordCache(next, specialBytes(texts, types), func(text string) ([]Token, error) {
		return weights.Tokenize(text, false, false)
	})
	if whole, err := weights.Tokenize(sampleWord, true, false); err == nil {
		c.setAround(whole)
	}
	return c
}

// sampleWord is a text whose tokens show what stands around every text.
const sampleWord = "a"

// setAround takes from the tokens of sampleWord and what stands around it what that is.
func (c *wordCache) setAround(whole []Token) {
	word, err := c.tokenize(sampleWord)
	if err != nil || len(word) == 0 {
		return
	}
	for i := range len(whole) - len(word) + 1 {
		if slices.Equal(whole[i:i+len(word)], word) {
			c.before, c.after, c.around = whole[:i], whole[i+len(word):], true
			return
		}
	}
}

// lazyWords is a cache that is made when it is first wanted: that takes a while, as all of the
// vocabulary is read.
type lazyWords struct {
	make  func() *wordCache // returns nil where there is none
	once  sync.Once
	begun atomic.Bool
	made  atomic.Pointer[wordCache]
}

// get returns the cache, or nil.
func (l *lazyWords) get() *wordCache {
	l.once.Do(func() { l.made.Store(l.make()) })
	return l.made.Load()
}

// soon returns the cache if it was made, and has it made for later calls if not.
func (l *lazyWords) soon() *wordCache {
	if l.begun.CompareAndSwap(false, true) {
		go l.get()
	}
	return l.made.Load()
}

// knownWords appends the tokens of a text to dst, and with around those of what the model wants
// around it. It reports false for text that is left to llama.cpp.
func (l *loaded) knownWords(dst []Token, text string, around bool) ([]Token, bool) {
	if around {
		return l.words.soon().appendWhole(dst, text)
	}
	return l.words.get().appendTokens(dst, text)
}

// appendWhole is appendTokens for a text with what the model wants around it.
func (c *wordCache) appendWhole(dst []Token, text string) ([]Token, bool) {
	if c == nil || !c.around {
		return dst, false
	}
	tokens, ok := c.appendTokens(append(dst, c.before...), text)
	if !ok {
		return dst, false
	}
	return append(tokens, c.after...), true
}

// makeWordCache returns a cache for text that has none of the special bytes.
func makeWordCache(
	next splitter, special string, tokenize func(text string) ([]Token, error),
) *wordCache {
	c := &wordCache{next: next, tokenize: tokenize, words: map[string][]Token{}}
	for b := range byte(asciiEnd) {
		c.plain[b] = classes[b] != noClass && strings.IndexByte(special, b) < 0
	}
	return c
}

// specialBytes are those with which a special token may begin. llama.cpp takes some tokens for
// special by their names, too; those have a < or [.
func specialBytes(texts []string, types []int64) string {
	const normal, byteToken = 1, 6 // of llama.cpp's enum llama_token_type
	special := []byte("<[")
	for i, kind := range types {
		if kind != normal && kind != byteToken && texts[i] != "" {
			special = append(special, texts[i][0])
		}
	}
	return string(special)
}

// appendTokens appends the tokens of a text to dst. It reports false, and leaves dst as it is, for
// text that is left to llama.cpp.
func (c *wordCache) appendTokens(dst []Token, text string) ([]Token, bool) {
	if c == nil || len(text) > textMost || !c.isPlain(text) {
		return dst, false
	}
	tokens := dst
	w := words{text: text, classes: &classes}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for w.pos < len(text) {
		end := c.next(w)
		word := text[w.pos:end]
		w.pos = end
		known, found := c.words[word]
		if !found {
			c.mu.RUnlock()
			known, found = c.learn(word)
			c.mu.RLock()
			if !found {
				return dst, false
			}
		}
		tokens = append(tokens, known...)
	}
	return tokens, true
}

func (c *wordCache) isPlain(text string) bool {
	for i := range len(text) {
		if !c.plain[text[i]] {
			return false
		}
	}
	return true
}

func (c *wordCache) learn(word string) ([]Token, bool) {
	tokens, err := c.tokenize(word)
	if err != nil {
		return nil, false
	}
	if len(word) <= wordMost {
		c.mu.Lock()
		if len(c.words) >= wordsMost {
			c.words = map[string][]Token{}
		}
		c.words[strings.Clone(word)] = tokens
		c.mu.Unlock()
	}
	return tokens, true
}
