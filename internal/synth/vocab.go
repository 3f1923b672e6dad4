package synth

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/gguf"
)

// The ids of the tokens that Tiny's vocabulary starts with. The 256 byte tokens lie between
// TokenByte0 and TokenChatStart.
const (
	TokenUnknown   = 0
	TokenStart     = 1
	TokenEnd       = 2
	TokenByte0     = 3
	TokenChatStart = TokenByte0 + 256 // <|im_start|>
	TokenChatEnd   = TokenChatStart + 1
	firstText      = TokenChatEnd + 1
)

// The kinds of token in a GGUF vocabulary.
const (
	kindNormal  = 1
	kindUnknown = 2
	kindControl = 3
	kindByte    = 6
)

// ChatML is the chat template of Tiny's models.
const ChatML = `{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- endif -%}`

// words are the words that have a token of their own.
const words = `a about after all also an and any are as ask at back be because been but by call
can capital city cold come could day dear did do does each even every family far few find fire
first food for form France from full get give go good great had hand has have he hello help her
here high him his home house how I if in into is it its just keep kind know language large last
learn left letter life light like line list little live London long look made make man many may me
mean model more most mother mountain much must my name near never new next night no not nothing
now number of off old on once one only open or other our out over own page paper Paris part people
place plain plant play point question quick rain read real red right river road run said same say
school sea second see sentence set she should show side small snow so some song sound spell stand
start state still stop story such summer sun system take talk tell ten text than that the their
them then there these they thing think this three time to token too tree turn two under up us use
user very wait want was water way we well went were what when where which while white who why wild
will wind winter with without word work world would write year yes you young your`

// alone are characters outside of ASCII with a token; any other falls apart into byte tokens.
const alone = "äöüßéèñçжя世界日本語한مש€…–“”😀👍"

// vocabulary is a sentencepiece-like vocabulary: pieces with scores.
type vocabulary struct {
	tokens []string
	scores []float32
	kinds  []int32
	known  map[string]bool
}

// newVocabulary makes Tiny's vocabulary. The tokenizer joins neighbouring pieces as long as the
// result is a piece, so each word needs all of its beginnings.
func newVocabulary() *vocabulary {
	v := &vocabulary{known: make(map[string]bool)}
	v.add("<unk>", kindUnknown)
	v.add("<s>", kindControl)
	v.add("</s>", kindControl)
	for b := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", b), kindByte)
	}
	v.add("<|im_start|>", kindControl)
	v.add("<|im_end|>", kindControl)
	v.add("▁", kindNormal)
	for c := '!'; c <= '~'; c++ {
		v.add(string(c), kindNormal)
	}
	for _, c := range alone {
		v.add(string(c), kindNormal)
	}
	for word := range strings.FieldsSeq(words) {
		v.addBeginnings("▁" + word)
	}
	return v
}

func (v *vocabulary) addBeginnings(word string) {
	for end := range word {
		if utf8.RuneCountInString(word[:end]) > 1 {
			v.add(word[:end], kindNormal)
		}
	}
	v.add(word, kindNormal)
}

// add appends a token that is not there yet. Earlier pieces have higher scores.
func (v *vocabulary) add(text string, kind int32) {
	if v.known[text] {
		return
	}
	v.known[text] = true
	score := float32(0)
	if kind == kindNormal {
		score = float32(firstText - len(v.tokens))
	}
	v.tokens = append(v.tokens, text)
	v.scores = append(v.scores, score)
	v.kinds = append(v.kinds, kind)
}

func (v *vocabulary) setKeys(w *gguf.Writer) {
	w.Set("tokenizer.ggml.model", "llama")
	w.Set("tokenizer.ggml.pre", "default")
	w.Set("tokenizer.ggml.tokens", v.tokens)
	w.Set("tokenizer.ggml.scores", v.scores)
	w.Set("tokenizer.ggml.token_type", v.kinds)
	w.Set("tokenizer.ggml.unknown_token_id", uint32(TokenUnknown))
	w.Set("tokenizer.ggml.bos_token_id", uint32(TokenStart))
	w.Set("tokenizer.ggml.eos_token_id", uint32(TokenEnd))
	w.Set("tokenizer.ggml.eot_token_id", uint32(TokenChatEnd))
	w.Set("tokenizer.ggml.add_bos_token", true)
	w.Set("tokenizer.ggml.add_eos_token", false)
	w.Set("tokenizer.ggml.add_space_prefix", true)
}
