package server

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mullama/mullama"
)

func TestStringsReadBackAsTheyWere(t *testing.T) {
	for _, s := range []string{
		"", "plain", `quote " and \ backslash`, "line\nbreak\ttab\r", "\x00\x01\x1f\x7f",
		"ä€😀", "\u2028\u2029", "</script>", "long " + strings.Repeat("x", 5000),
	} {
		checkString(t, s)
	}
}

func checkString(t *testing.T, s string) {
	t.Helper()
	out := appendString(nil, s)
	var got string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%q is written as %s: %v", s, out, err)
	}
	if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want {
		t.Errorf("%q reads back as %q", s, got)
	}
	if strings.ContainsAny(string(out), "\n\r\u2028\u2029") {
		t.Errorf("%q is written with a line end: %q", s, out)
	}
	standard, err := json.Marshal(s)
	var want string
	if err != nil || json.Unmarshal(standard, &want) != nil || got != want {
		t.Errorf("%q reads back as %q, with encoding/json as %q", s, got, want)
	}
	if bytes := appendString(nil, []byte(s)); string(bytes) != string(out) {
		t.Errorf("as bytes %q is written as %s, as text as %s", s, bytes, out)
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{
		"a", "\xff", "\xf0\x9f\x98", "é\xc3", "\xe2\x80\xa8", "\xed\xa0\x80",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkString(t, s) })
}

func TestNumbersThatJSONDoesNotHave(t *testing.T) {
	for in, want := range map[float32]string{
		-0.25:                            "-0.25",
		0:                                "0",
		float32(math.Inf(-1)):            "-9999",
		-1.5e-9:                          "-1.5e-09",
		float32(-12.3456789):             "-12.345679",
		float32(math.MaxFloat32):         "3.4028235e+38",
		float32(math.Float32frombits(1)): "1e-45",
	} {
		got := string(appendFloat(nil, in))
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("%g is written as %s, want %s", in, got, want)
		}
	}
}

func TestLogprobsKeepTheBytesOfHalfACharacter(t *testing.T) {
	list := []mullama.TokenLogprob{{
		Token: 7, Bytes: []byte("\xf0\x9f"), Logprob: -0.5,
		Top: []mullama.TopLogprob{{Token: 8, Bytes: []byte("a"), Logprob: -1}},
	}}
	const want = `[{"token":"\ufffd\ufffd","logprob":-0.5,"bytes":[240,159],"top_logprobs":[` +
		`{"token":"a","logprob":-1,"bytes":[97]}]}]`
	if got := string(appendLogprobs(nil, list)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(appendLogprobs(nil, nil)); got != "[]" {
		t.Errorf("no logprobs are %s", got)
	}
}

func TestTimesAreInUTC(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	if got, want := string(appendTime(nil, at)), `"2026-01-02T02:04:05.000006Z"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEncodingAPartAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4096)
	text := "some text with é and a \"quote\"\n"
	if n := testing.AllocsPerRun(100, func() { buf = appendString(buf[:0], text) }); n > 0 {
		t.Errorf("a string takes %v allocations", n)
	}
}
