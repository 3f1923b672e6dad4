package main

import (
	"fmt"
	"regexp"
	"strings"
)

// kind is what a token is.
type kind int

const (
	end       kind = iota
	comment        // its text, without marks
	directive      // a line of the preprocessor
	word           // a name or keyword
	number
	mark // one character
)

// token is a piece of the header.
type token struct {
	kind        kind
	text        string
	first, last int // its lines
}

// lexemes are the pieces that the header is made of. The first that matches counts.
var lexemes = []struct {
	kind    kind
	pattern *regexp.Regexp
}{
	{comment, regexp.MustCompile(`\A/\*(?s:.*?)\*/`)},
	{directive, regexp.MustCompile(`\A#.*`)},
	{word, regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]*`)},
	{number, regexp.MustCompile(`\A[0-9]+`)},
	{mark, regexp.MustCompile(`\A[(){},;=*]`)},
}

// lex cuts the header into tokens. What is between #ifdef __cplusplus and #endif is left out.
func lex(source string) ([]token, error) {
	var tokens []token
	line := 1
	for {
		rest := strings.TrimLeft(source, " \n")
		line += strings.Count(source[:len(source)-len(rest)], "\n")
		source = rest
		if source == "" {
			return append(tokens, token{end, "the end", line, line}), nil
		}
		t, size := lexOne(source, line)
		if size == 0 {
			return nil, fmt.Errorf("%d: %.10q is not understood", line, source)
		}
		if t.kind == directive && t.text == "#ifdef __cplusplus" {
			size = strings.Index(source, "#endif") + len("#endif")
			if size < len("#endif") {
				return nil, fmt.Errorf("%d: #ifdef has no #endif", line)
			}
		} else {
			tokens = append(tokens, t)
		}
		line += strings.Count(source[:size], "\n")
		source = source[size:]
	}
}

// lexOne returns the token at the beginning of source and its size, 0 if there is none.
func lexOne(source string, line int) (token, int) {
	for _, l := range lexemes {
		text := l.pattern.FindString(source)
		if text == "" {
			continue
		}
		t := token{l.kind, text, line, line + strings.Count(text, "\n")}
		if l.kind == comment {
			t.text = commentText(text)
		}
		return t, len(text)
	}
	return token{}, 0
}

// commentText returns the lines of a comment without its marks. Lines keep what they are indented
// by beyond the mark.
func commentText(text string) string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		if rest, marked := strings.CutPrefix(trimmed, "*"); i > 0 && marked {
			trimmed = strings.TrimPrefix(rest, " ")
		}
		lines[i] = trimmed
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
