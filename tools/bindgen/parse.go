package main

import (
	"fmt"
	"strings"
)

// parser turns tokens into declarations. A method that meets something else than it expects panics
// with a syntaxError, which parse returns.
type parser struct {
	tokens []token
	known  map[string]bool // names of types
	header header

	// The declaration before: a declaration in the line below it has its comment.
	lastDoc  string
	lastLine int
}

type syntaxError struct{ error }

// parse reads a header. Its error begins with the number of a line.
func parse(source string) (h *header, err error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, known: map[string]bool{}}
	for _, name := range strings.Fields("void bool char float size_t int32_t uint32_t") {
		p.known[name] = true
	}
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case syntaxError:
			h, err = nil, fault.error
		default:
			panic(fault)
		}
	}()
	p.top()
	for p.peek().kind != end {
		p.declaration()
	}
	return &p.header, nil
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
	return t
}

// fail ends the parsing.
func (p *parser) fail(t token, want string) {
	panic(syntaxError{fmt.Errorf("%d: %q stands where %s is expected", t.first, t.text, want)})
}

// want takes a token, which has to be this text.
func (p *parser) want(text string) token {
	t := p.next()
	if t.text != text || t.kind == comment {
		p.fail(t, fmt.Sprintf("%q", text))
	}
	return t
}

// take takes a token if it is this text.
func (p *parser) take(text string) bool {
	if t := p.peek(); t.text != text || t.kind == comment {
		return false
	}
	p.next()
	return true
}

func (p *parser) wantKind(k kind, what string) string {
	t := p.next()
	if t.kind != k {
		p.fail(t, what)
	}
	return t.text
}

// top reads the comment of the header and its include guard.
func (p *parser) top() {
	p.header.doc = p.wantKind(comment, "the header's comment")
	p.want("#ifndef MULLAMA_H")
	p.want("#define MULLAMA_H")
}

// declaration reads one declaration with its comment. A comment that nothing follows directly is a
// heading, and belongs to none.
func (p *parser) declaration() {
	doc := ""
	if t := p.peek(); t.kind == comment {
		p.next()
		if p.peek().first != t.last+1 {
			return
		}
		doc = t.text
	}
	first := p.peek()
	if doc == "" && first.first == p.lastLine+1 {
		doc = p.lastDoc
	}
	switch {
	case first.kind == directive:
		p.directive(doc)
		return
	case first.text == "enum":
		p.header.decls = append(p.header.decls, p.enum(doc))
	case first.text == "typedef":
		p.header.decls = append(p.header.decls, p.typedef(doc))
	default:
		p.header.decls = append(p.header.decls, p.function(doc))
	}
	p.lastDoc, p.lastLine = doc, p.want(";").last
}

func (p *parser) directive(doc string) {
	t := p.next()
	fields := strings.Fields(t.text)
	switch {
	case fields[0] == "#include" || t.text == "#endif":
	case fields[0] == "#define" && len(fields) == 3:
		p.header.decls = append(p.header.decls, &macro{doc, fields[1], fields[2]})
	default:
		p.fail(t, "#include, or #define with a name and a number,")
	}
}

func (p *parser) enum(doc string) *enum {
	p.want("enum")
	p.want("{")
	e := &enum{doc: doc}
	for !p.take("}") {
		value := macro{name: p.wantKind(word, "a name")}
		p.want("=")
		value.value = p.wantKind(number, "a number")
		comma := p.want(",")
		value.doc = p.trailing(comma)
		e.values = append(e.values, value)
	}
	return e
}

// trailing reads the comment that begins in the line of the token before it.
func (p *parser) trailing(before token) string {
	if t := p.peek(); t.kind == comment && t.first == before.last {
		return p.next().text
	}
	return ""
}

// typedef reads the typedef of a struct, a pointer to a function, or another type.
func (p *parser) typedef(doc string) decl {
	p.want("typedef")
	if p.take("struct") {
		return p.record(doc)
	}
	t := p.ctype()
	if !p.take("(") {
		return &alias{doc, p.define(), t}
	}
	p.want("*")
	name := p.define()
	p.want(")")
	return &callback{doc, name, signature{p.params(), t}}
}

func (p *parser) define() string {
	name := p.wantKind(word, "a name")
	p.known[name] = true
	return name
}

// record reads a struct after the word. Its typedef has the same name, as C++ wants it.
func (p *parser) record(doc string) decl {
	name := p.define()
	if !p.take("{") {
		p.want(name)
		return &opaque{doc, name}
	}
	r := &record{doc: doc, name: name}
	for !p.take("}") {
		field := p.variable()
		field.doc = p.trailing(p.want(";"))
		r.fields = append(r.fields, field)
	}
	p.want(name)
	return r
}

func (p *parser) function(doc string) *function {
	result := p.ctype()
	name := p.wantKind(word, "a name")
	return &function{doc, name, signature{p.params(), result}}
}

func (p *parser) params() []variable {
	p.want("(")
	if p.peek().text == "void" && p.tokens[1].text == ")" {
		p.next()
		p.next()
		return nil
	}
	params := []variable{p.variable()}
	for p.take(",") {
		params = append(params, p.variable())
	}
	p.want(")")
	return params
}

func (p *parser) variable() variable {
	t := p.ctype()
	return variable{name: p.wantKind(word, "a name"), kind: t}
}

func (p *parser) ctype() ctype {
	t := ctype{isConst: p.take("const")}
	name := p.peek()
	if !p.known[name.text] {
		p.fail(name, "a type")
	}
	t.name = p.next().text
	for p.take("*") {
		t.pointers++
	}
	return t
}
