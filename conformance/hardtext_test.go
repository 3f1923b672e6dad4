package conformance

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A hardText is text that tokenizers are known to get wrong somewhere.
type hardText struct {
	name string
	text string
}

// hardTexts are the texts every vocabulary is tried on, the same in every run.
func hardTexts() []hardText {
	groups := []struct {
		name  string
		texts []string
	}{
		{"latin", latinTexts},
		{"script", scriptTexts},
		{"emoji", emojiTexts},
		{"space", spaceTexts},
		{"control", controlTexts()},
		{"invalid", invalidTexts()},
		{"special", specialTexts},
		{"code", codeTexts},
		{"number", numberTexts},
		{"combining", combiningTexts()},
		{"long", longTexts()},
		{"mixture", mixtures(60)},
	}
	var all []hardText
	for _, g := range groups {
		for i, text := range g.texts {
			all = append(all, hardText{fmt.Sprintf("%s-%02d", g.name, i), text})
		}
	}
	return all
}

var latinTexts = []string{
	"Hello, world!", "hello", " hello", "  hello", "Hello  world", "HELLO WORLD", "hElLo",
	"I'm, you're, he'll, she'd, we've, it's, don't", "I'M, YOU'RE, HE'LL, SHE'D, WE'VE, IT'S",
	"naïve café façade Ærøskøbing Straße ſ", "İstanbul ıI iİ", "DŽ Dž dž ﬁ ﬂ ﬃ ŉ ΐ",
	"“Quoted” ‘single’ «guillemets» „low“ ‹x› – — … ‐ ‑", "antidisestablishmentarianism",
	"Donaudampfschifffahrtsgesellschaftskapitän", "a", "A", "é", "e\u0301", "ß", "ÿ", "",
	"ﾊﾝｶｸ ｆｕｌｌｗｉｄｔｈ ＡＢＣ １２３", "x² y₂ ½ ⅷ № ℡ ™ © ª º", "🄰🅱🅾️ 𝓼𝓬𝓻𝓲𝓹𝓽 𝔣𝔯𝔞𝔨 𝟙𝟚𝟛",
}

var scriptTexts = []string{
	"中文文本没有空格", "中文，标点。“引号”！？", "日本語のテキスト、カタカナとひらがな", "ひらがなカタカナ漢字",
	"한국어 텍스트 입니다", "각", "\u1100\u1161\u11a8", "ㅋㅋㅋㅋ", "𠀀𠀁𪛖 㐀㐁", "\uf900\uf901\uf902",
	"مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ", "ﷺ ﷽ لا ﻻ", "שלום עולם", "שָׁלוֹם",
	"abc שלום 123 עולם def",
	"\u202Bright to left\u202C", "\u2067isolate\u2069", "नमस्ते दुनिया", "क्षत्रिय ज्ञान श्री",
	"க்ஷ தமிழ் மொழி",
	"বাংলা ভাষা", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "සිංහල", "ภาษาไทยไม่มีช่องว่าง", "ก็ กำ น้ำ",
	"ភាសាខ្មែរ",
	"ဗမာစာ", "བོད་སྐད།", "ქართული", "Հայերեն", "Ελληνικά ΑΒΓ ά", "Русский текст",
	"Україна ґ є ї", "ЙЙ",
	"አማርኛ", "ᏣᎳᎩ", "ᓀᐦᐃᔭᐍᐏᐣ", "ᚠᚢᚦᚨᚱᚲ", "𐍈𐌰𐌽𐌳", "𓀀𓁐𓂀", "𝄞♯♭", "Tiếng Việt: ữ ộ ằ", "ÞðþÐ",
}

var emojiTexts = []string{
	"😀", "😀😀😀", " 😀", "a😀b", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🇫🇷🇩🇪🇯🇵", "🇫", "❤️ ❤ ♥︎",
	"1️⃣2️⃣#️⃣",
	"🧑🏿‍🚀 in space", "👨‍⚕️👩‍🏫", "\u200d\u200d", "\ufe0f\ufe0e", "☺️☹", "🫠🫡🪿", "🀄🃏", "😶‍🌫️❤️‍🔥",
}

var spaceTexts = []string{
	" ", "  ", "   ", "    ", "\t", "\t\t", " \t ", "\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n",
	"\r", "\n \n",
	" \n", "\n ", "\t\n\t", "a \n b", "a\n\n\nb", "a\r\nb\r\n", "trailing   ", "   leading",
	"a    b     c",
	"a\u00a0b", "\u2003em\u2003space", "\u3000全角", "zero\u200bwidth", "\ufeffBOM",
	"a\u2028b\u2029c",
	"\u0085next", "\u1680ogham\u202f\u205f", "\v\f", "▁", "▁▁a", "a▁b", "Ġ Ċ ĉ", "x\n\t\t\t    y",
	strings.Repeat(" ", 15) + "x", strings.Repeat(" ", 16) + "x", strings.Repeat(" ", 100), "x  ",
}

func controlTexts() []string {
	texts := []string{
		"\x00", "a\x00b", "\x00\x00\x00", "\x1b[31mred\x1b[0m", "\x7f", "\u0080\u009f",
		"bell\a\b",
		"\ufffd", "\ufffe\uffff", "\ufdd0", "\U0010ffff", "\ue000\uf8ff", "\u00ad soft",
		"\u2060\u2063",
		"\U000e0041", "\u0378 unassigned",
	}
	var all strings.Builder
	for c := range rune(0x20) {
		all.WriteRune(c)
	}
	return append(texts, all.String())
}

// invalidTexts are bytes that are not UTF-8.
func invalidTexts() []string {
	return []string{
		"\xff", "\xfe\xff", "\x80", "\xbf\xbf", "\xc3", "\xc3(", "abc\xe2\x82", "\xe2\x82abc",
		"\xf0\x9f\x98",
		"\xf0\x9f\x98a", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xed\xa0\xbd\xed\xb8\x80",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "good \xff bad \xfe good", "é\xe9é", "\xa4\xa2 big5",
		strings.Repeat("\xff\xc3(", 50),
	}
}

// specialTexts look like the control tokens of one model family or another.
var specialTexts = []string{
	"<|im_start|>user\nhi<|im_end|>\n", "<|im_end|>", " <|im_end|> ", "<|im_end", "<|im_end|",
	"|im_end|>",
	"<|endoftext|>", "<|begin_of_text|><|eot_id|>",
	"<|start_header_id|>system<|end_header_id|>\n\n",
	"<s>", "</s>", "<s>[INST] hi [/INST]</s>", "<unk>", "<pad>",
	"<bos><start_of_turn>user<end_of_turn><eos>",
	"[CLS] a [SEP] b [MASK] [PAD] [UNK]", "<|user|><|assistant|><|end|><|system|>", "<0x0A>",
	"<0xFF><0xff>",
	"<｜begin▁of▁sentence｜><｜User｜>", "<|START_OF_TURN_TOKEN|><|END_OF_TURN_TOKEN|>",
	"<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", "<fim_prefix>", "<think>\n</think>",
	"<tool_call></tool_call>",
	"<|eom_id|><|python_tag|>", "<mask>", "<|im_start|><|im_start|><|im_start|>",
	"<<|im_end|>>", "<|IM_END|>",
	"<|im_\u200bend|>", "<unused0><unused99>", "<|vision_start|><|image_pad|>",
	"<end_of_turn>\n<start_of_turn>model",
}

var codeTexts = []string{
	"def f(x):\n    return x + 1\n", "func main() {\n\tfmt.Println(\"hi\")\n}\n",
	"#include <stdio.h>\n",
	"for (int i = 0; i < n; i++) { a[i] += b[i] * c[i]; }", "SELECT * FROM t WHERE a >= 'x''y';",
	"<div class=\"a\">&amp;&lt;&#39;</div>",
	"{\"a\": [1, 2.5, null, true], \"b\": \"\\u00e9\\n\"}",
	"https://example.com/a/b?c=d&e=%20f#g", "user.name+tag@example.co.uk",
	"C:\\Users\\x\\file.txt",
	"/usr/local/bin/../lib", "snake_case camelCase PascalCase kebab-case SCREAMING",
	"a->b::c.d()?.e!",
	"x=y;z==w===v!=u!==t<=s>=r<<q>>p**o//n", "$a = @b & %c; `d`",
	"\\begin{equation}\\frac{a}{b}\\end{equation}",
	"// comment\n/* block */ # hash -- dash", "!!!???...,,,;;;:::", "((([[[{{{}}}]]])))",
	"~^`|\\/<>",
	"--------------------------------", "================\n****************", "\"'\"'\"'",
	"a\\nb\\tc\\0",
}

var numberTexts = []string{
	"0", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678901234567890",
	"3.14159265358979",
	"-1", "+1", "1e10", "1,234,567.89", "0x1F 0b101 0o17", "1/2 50% $3.50 €4 £5 ¥6",
	"2026-11-25T01:02:03Z",
	"192.168.0.1", "٠١٢٣٤٥٦٧٨٩", "०१२३", "一二三四五", "Ⅰ Ⅱ ⅳ", "1st 2nd 3rd", "007 00", "v1.2.3-rc4",
	" 1 2 3", "1 000 000", "a1b2c3", "²³¹",
}

func combiningTexts() []string {
	zalgo := "Z\u0351\u036b\u0343\u036a\u0302a\u0321\u034al\u0348\u0357g\u0330o\u033d"
	return []string{
		zalgo, strings.Repeat(zalgo, 20), "o\u0308 ö", "a\u0323\u0302 ậ", "\u0301", " \u0301a",
		"\u0301\u0301\u0301",
		"n\u0303o", "q\u0307\u0323 q\u0323\u0307", "Z" + strings.Repeat("\u0301\u0302", 500),
		"क\u093c",
		"e\u20dd\u20de", "x\u0332y\u0332z\u0332",
	}
}

func longTexts() []string {
	const size = 100_000
	return []string{
		strings.Repeat("a", size), strings.Repeat(" ", size), strings.Repeat("\n", size),
		strings.Repeat("7", size), strings.Repeat("!", size), strings.Repeat("é", size/2),
		strings.Repeat("中", size/3), strings.Repeat("😀", size/4), strings.Repeat("ab ", size/3),
		strings.Repeat("<|im_end|>", size/10), strings.Repeat("<", size),
		"x" + strings.Repeat("\u0301", size/2),
	}
}

// mixtures are n texts of random pieces of the others.
func mixtures(n int) []string {
	var pool []string
	for _, texts := range [][]string{latinTexts, scriptTexts, emojiTexts, spaceTexts,
		specialTexts,
		codeTexts, numberTexts, controlTexts(), invalidTexts()} {
		pool = append(pool, texts...)
	}
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]string, n)
	for i := range out {
		var b strings.Builder
		for range 3 + random.IntN(12) {
			piece := pool[random.IntN(len(pool))]
			from := random.IntN(len(piece) + 1)
			b.WriteString(piece[from:])
		}
		out[i] = b.String()
	}
	return out
}
