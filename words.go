package mullama

import (
	"strings"
	"sync"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/llama"
)

// wordCache remembers the tokens of words, so that text of known words needs no call into
// llama.cpp, which takes 10 to 50 µs for a short sentence: it builds its expressions anew each
// time.
//
// It is exact by its construction. Vocabularies of byte pairs split a text into words first, and
// make tokens of each word alone. The splits here are llama.cpp's, for text of ASCII; the tokens of
// a word that is met for the first time come from llama.cpp. Other text, and text in which a
// special token may begin, is left to llama.cpp as a whole.
type wordCache struct {
	split    splitter
	special  [asciiEnd]bool // bytes that text for the cache must not have
	tokenize func(text string) ([]Token, error)

	mu    sync.RWMutex // guards words
	words map[string][]Token
}

// splitter calls word with each word of a text of ASCII until it returns false.
type splitter func(text string, word func(string) bool) bool

const (
	asciiEnd  = 0x80
	wordsMost = 50_000 // words in the cache; when it is full, it begins anew
	wordMost  = 32     // bytes of a word in the cache
	textMost  = 4096   // bytes of a text that the cache is asked for
)

// splitters are those of the kinds of vocabularies, by the GGUF key tokenizer.ggml.pre.
var splitters = map[string]splitter{
	"gpt-2": splitGPT2, "phi-2": splitGPT2, "olmo": splitGPT2, "mpt": splitGPT2,
	"smollm": splitDigits, "starcoder": splitDigits, "refact": splitDigits,
	"command-r": splitDigits, "codeshell": splitDigits, "exaone": splitDigits,
	"llama-bpe": splitLlama3, "llama3": splitLlama3, "llama-v3": splitLlama3,
	"falcon3": splitLlama3, "pixtral": splitLlama3, "dbrx": splitLlama3,
	"smaug-bpe": splitLlama3,
	"qwen2":     splitQwen2, "deepseek-r1-qwen": splitQwen2, "stablelm2": splitQwen2,
}

// newWordCache returns nil for a vocabulary that it does not know, and for a file that cannot be
// read any more.
func newWordCache(path string, weights *llama.Model) *wordCache {
	const everyToken = 1 << 24
	f, err := gguf.Open(path, gguf.KeepArrays(everyToken))
	if err != nil || f.String("tokenizer.ggml.model") != "gpt2" {
		return nil
	}
	split := splitters[f.String("tokenizer.ggml.pre")]
	texts, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil || split == nil {
		return nil
	}
	types, err := f.Ints("tokenizer.ggml.token_type")
	if err != nil || len(types) != len(texts) {
		return nil
	}
	c := &wordCache{split: split, words: map[string][]Token{}}
	c.tokenize = func(text string) ([]Token, error) { return weights.Tokenize(text, false, false) }
	c.forbid(texts, types)
	return c
}

// forbid leaves out text in which a special token may begin. llama.cpp takes some tokens for
// special by their names, too; those have a < or [.
func (c *wordCache) forbid(texts []string, types []int64) {
	const normal, byteToken = 1, 6 // of llama.cpp's enum llama_token_type
	c.special['<'], c.special['['] = true, true
	for i, kind := range types {
		if kind == normal || kind == byteToken || texts[i] == "" {
			continue
		}
		if first := texts[i][0]; first < asciiEnd {
			c.special[first] = true
		}
	}
}

// find returns the tokens of a text, or false for text that is left to llama.cpp.
func (c *wordCache) find(text string) ([]Token, bool) {
	if c == nil || len(text) > textMost || !c.plain(text) {
		return nil, false
	}
	tokens := make([]Token, 0, len(text)/2+4)
	ok := c.split(text, func(word string) bool {
		c.mu.RLock()
		known, found := c.words[word]
		c.mu.RUnlock()
		if !found {
			if known, found = c.learn(word); !found {
				return false
			}
		}
		tokens = append(tokens, known...)
		return true
	})
	return tokens, ok
}

// plain reports whether all bytes are ones that the splitters know.
func (c *wordCache) plain(text string) bool {
	for i := range len(text) {
		if b := text[i]; b >= asciiEnd || classes[b] == noClass || c.special[b] {
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
