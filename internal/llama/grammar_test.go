package llama_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// constrained returns the text of at most n tokens under a grammar, and why it ended early.
func constrained(t testing.TB, grammar string, n int) (string, error) {
	t.Helper()
	m := tiny(t)
	p := greedy(t)
	p.Grammar = grammar
	s, err := m.NewSampler(p)
	if err != nil {
		return "", err
	}
	defer s.Close()
	c := newContext(t, m, smallContext(t))
	token, text := llama.Token(75), ""
	for pos := range int32(n) {
		c.Begin()
		c.Sample(c.Add(token, pos, 0), s, -1)
		result, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		row := result.Rows[0]
		if row.Err != nil || row.End {
			return text, row.Err
		}
		token, text = row.Token, text+string(row.Piece)
	}
	return text, nil
}

func TestGrammarConstrainsOutput(t *testing.T) {
	for grammar, want := range map[string]string{
		`root ::= "yes" | "no"`:                       `^(yes|no)$`,
		`root ::= [0-9]{3} "-" [a-f]+`:                `^[0-9]{3}-[a-f]+$`,
		"root ::= a b\na ::= \"x\"{2}\nb ::= \"é\"":   `^xxé$`,
		"# first a comment\nroot ::= \"ok\" # last":   `^ok$`,
		`root ::= "\x41\u00e9\U0001F600"`:             `^Aé😀$`,
		`root ::= ("a" ("b" ("c" ("d")?)?)?)? "e"`:    `^(a(b(cd?)?)?)?e$`,
		`root ::= "a"{0} "b"{1,1} ""`:                 `^b$`,
		"root ::= (\n  \"a\"\n  | \"b\"\n)\n":         `^(a|b)$`,
		`root ::= !<[70]> "z"`:                        `^.*z$`,
		`root ::= "` + strings.Repeat("ab", 10) + `"`: `^(ab){10}$`,
	} {
		got, err := constrained(t, grammar, 40)
		if err != nil || !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s gives %q, %v", grammar, got, err)
		}
	}
}

func TestGrammarWithoutAWayOn(t *testing.T) {
	for _, grammar := range []string{`root ::= [z-a]`, `root ::= "\UFFFFFFFF"`,
		`root ::= <[99999999]>`} {
		_, err := constrained(t, grammar, 4)
		wantError(t, err, llama.ErrInternal, "grammar")
	}
}

func nested(open string, n int, middle, end string) string {
	return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
}

func TestWrongGrammars(t *testing.T) {
	long := strings.Repeat("x ", 1<<19)
	for name, tt := range map[string]struct{ grammar, want string }{
		"undefined rule":     {"root ::= foo", `"foo"`},
		"no root":            {`start ::= "a"`, "root"},
		"white space":        {"  \n ", "root"},
		"comment":            {"# nothing", "root"},
		"left recursion":     {`root ::= root "a" | "b"`, `"root" can begin with itself`},
		"hidden recursion":   {"root ::= \"a\" | e e root\ne ::= \"\"", "left-recursive"},
		"empty recursion":    {"root ::= a\na ::= b\nb ::= a", "left-recursive"},
		"unterminated text":  {`root ::= "abc`, "unexpected end"},
		"unterminated class": {`root ::= [abc`, "unexpected end"},
		"unterminated group": {`root ::= ("a"`, "its end"},
		"escape":             {`root ::= "\q"`, "escape"},
		"escape at the end":  {`root ::= "\`, "escape"},
		"hex":                {`root ::= "\xZZ"`, "hex"},
		"no definition":      {"root", "::="},
		"binary":             {"\x01\x02", "name"},
		"nothing to repeat":  {"root ::= *", "preceding item"},
		"repetition":         {`root ::= "a"{x}`, "int"},
		"repeated too often": {`root ::= "a"{1000000000}`, "repetitions"},
		"number":             {`root ::= "a"{99999999999999999999}`, "too large"},
		"token number":       {`root ::= <[99999999999999999999]>`, "too large"},
		"token name":         {`root ::= <nope>`, "nope"},
		"zero byte":          {"root ::= \"a\"\x00", "zero byte"},
		"long rest":          {`root ::= "a" )` + long, "newline or end"},
		"1 MB of a name":     {strings.Repeat("x", 1<<20), "::="},
		"llguidance":         {"%llguidance {}\nstart: \"a\"", "name"},
		// Here llama.cpp's parser reads past the end, counts down from 2^64 or overflows the stack.
		"invalid UTF-8":  {"root ::= \"\xff\xfe\"", "UTF-8"},
		"cut character":  {"root ::= \"\xe2", "UTF-8"},
		"cut in a class": {"root ::= [\xf0", "UTF-8"},
		"backwards":      {`root ::= "a"{5,2}`, "at least 5"},
		"backwards to 0": {`root ::= "a" { 5 , 0 }`, "at least 5"},
		"deep":           {"root ::= " + nested("(", 10_000, `"a"`, ")"), "500 levels"},
		"deeper":         {"root ::= " + strings.Repeat("(", 1<<20), "500 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			p := greedy(t)
			p.Grammar = tt.grammar
			s, err := tiny(t).NewSampler(p)
			if err == nil {
				s.Close()
			}
			wantError(t, err, llama.ErrGrammar, "grammar", tt.want)
			if len(err.Error()) > 200 {
				t.Errorf("the error has %d characters", len(err.Error()))
			}
		})
	}
}

func TestLargeGrammars(t *testing.T) {
	var chain, wide strings.Builder
	chain.WriteString("root ::= r0\n")
	for i := range 50_000 {
		fmt.Fprintf(&chain, "r%d ::= r%d\n", i, i+1)
	}
	chain.WriteString("r50000 ::= \"a\"")
	wide.WriteString(`root ::= "a"`)
	for i := range 5_000 {
		fmt.Fprintf(&wide, ` | "w%d"`, i)
	}
	for name, grammar := range map[string]string{
		"chain":       chain.String(),
		"wide":        wide.String(),
		"literal":     `root ::= "` + strings.Repeat("a", 1<<20) + `"`,
		"nested":      "root ::= " + nested("(", 400, `"a"`, ")"),
		"repetitions": "root ::= " + nested("(", 5, `"a"`, "){100}"),
	} {
		if text, err := constrained(t, grammar, 3); err != nil || text == "" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func FuzzGrammar(f *testing.F) {
	for _, seed := range []string{
		`root ::= "a" | [b-d]+ "x"{2,3} (foo | .)?` + "\nfoo ::= <[5]> !<[6]> \"\\u00e9\" # c",
		`root ::= [^"\\] "\x41" root?`, "root ::= \"a\"{5,2}", "root ::= (((", "root ::= \"\xe2",
		"a ::= b\nb ::= a\nroot ::= a", `root ::= ((("a"?)*)+){2,}`,
	} {
		f.Add(seed)
	}
	m := tiny(f)
	f.Fuzz(func(t *testing.T, grammar string) {
		if grammar == "" || len(grammar) > 2000 {
			return
		}
		p := greedy(t)
		p.Grammar = grammar
		s, err := m.NewSampler(p)
		if err != nil {
			wantError(t, err, llama.ErrGrammar)
			return
		}
		s.Close()
	})
}
