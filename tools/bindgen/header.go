package main

import "strings"

// header is what the header declares, in its order.
type header struct {
	doc   string // the comment at its top
	decls []decl
}

// decl is one of *macro, *enum, *opaque, *alias, *callback, *record and *function.
type decl interface{}

// macro is a constant made by #define.
type macro struct {
	doc, name, value string
}

// enum is a list of constants. It has no name in C.
type enum struct {
	doc    string
	values []macro
}

// opaque is a struct of which only pointers are used.
type opaque struct {
	doc, name string
}

// alias is another name of a type.
type alias struct {
	doc, name string
	of        ctype
}

// callback is a pointer to a function that the caller of the library gives.
type callback struct {
	doc, name string
	signature
}

// record is a struct with fields.
type record struct {
	doc, name string
	fields    []variable
}

// function is a function of the library.
type function struct {
	doc, name string
	signature
}

// signature is what a function takes and gives.
type signature struct {
	params []variable
	result ctype
}

// variable is a parameter or a field.
type variable struct {
	doc, name string
	kind      ctype
}

// ctype is a type: a name, and how many pointers lead to it.
type ctype struct {
	name     string
	isConst  bool // what the first pointer points to
	pointers int
}

func (t ctype) isVoid() bool { return t.name == "void" && t.pointers == 0 }

// String returns the type as it stands before a name: "const char *", "bool ".
func (t ctype) String() string {
	text := t.name + " " + strings.Repeat("*", t.pointers)
	if t.isConst {
		return "const " + text
	}
	return text
}
