package main

import (
	"fmt"
	"strings"
)

// rust returns the declarations in Rust, formatted as rustfmt does it. The functions are the fields
// of a struct, which is made from a loaded library: programs are not linked to it.
func rust(h *header) string {
	r := &rustWriter{}
	r.line("// Written by tools/bindgen from include/mullama.h. Change the header instead.")
	r.line("")
	r.doc("", "//!", h.doc)
	r.line("")
	r.line("use std::ffi::{c_char, c_void};")
	r.line("use std::marker::{PhantomData, PhantomPinned};")
	var functions []*function
	for _, d := range h.decls {
		if f, ok := d.(*function); ok {
			functions = append(functions, f)
			continue
		}
		r.line("")
		r.decl(d)
	}
	r.functions(functions)
	return r.out.String()
}

type rustWriter struct{ out strings.Builder }

func (r *rustWriter) line(format string, args ...any) {
	fmt.Fprintf(&r.out, format+"\n", args...)
}

// doc writes a comment.
func (r *rustWriter) doc(indent, mark, text string) {
	start := indent + mark + " "
	for _, line := range rustDoc(text, columns-len(start)) {
		r.line("%s", strings.TrimRight(start+line, " "))
	}
}

func (r *rustWriter) decl(d decl) {
	switch d := d.(type) {
	case *macro:
		r.doc("", "///", d.doc)
		r.line("pub const %s: u32 = %s;", d.name, d.value)
	case *enum:
		for _, v := range d.values {
			r.doc("", "///", sentence(v.doc))
			r.line("pub const %s: i32 = %s;", v.name, v.value)
		}
	case *opaque:
		r.doc("", "///", d.doc)
		r.line("#[repr(C)]")
		r.line("pub struct %s {", d.name)
		r.line("    _data: [u8; 0],")
		r.line("    _marker: PhantomData<(*mut u8, PhantomPinned)>,")
		r.line("}")
	case *alias:
		r.doc("", "///", d.doc)
		r.line("pub type %s = %s;", d.name, rustType(d.of))
	case *callback:
		r.doc("", "///", d.doc)
		r.callback(d)
	case *record:
		r.record(d)
	}
}

// callback writes the type of a callback, which may be left out.
func (r *rustWriter) callback(d *callback) {
	start, params, result := d.rust()
	kind := start + strings.Join(params, ", ") + result
	line := fmt.Sprintf("pub type %s = Option<%s>;", d.name, kind)
	if len(line) <= columns {
		r.line("%s", line)
		return
	}
	r.line("pub type %s = Option<", d.name)
	r.signature("    ", "", d.signature)
	r.line(">;")
}

func (r *rustWriter) record(d *record) {
	r.doc("", "///", d.doc)
	r.line("#[repr(C)]")
	r.line("#[derive(Clone, Copy, Debug)]")
	r.line("pub struct %s {", d.name)
	for _, f := range d.fields {
		r.doc("    ", "///", sentence(f.doc))
		r.line("    pub %s: %s,", f.name, rustType(f.kind))
	}
	r.line("}")
}

// functions writes the table of the functions and how it is filled.
func (r *rustWriter) functions(functions []*function) {
	r.line("")
	r.line("/// The functions of a loaded library.")
	r.line("#[derive(Clone, Copy, Debug)]")
	r.line("pub struct Functions {")
	for _, f := range functions {
		r.doc("    ", "///", f.doc)
		r.signature("    ", "pub "+f.name+": ", f.signature)
	}
	r.line("}")
	r.line("")
	r.line("impl Functions {")
	r.line("    /// Finds the functions in a library. The error says which is missing.")
	r.line("    ///")
	r.line("    /// # Safety")
	r.line("    ///")
	r.line("    /// The library has to be one of this header, and has to stay loaded while a")
	r.line("    /// function of it can be called.")
	r.line("    pub unsafe fn load(library: &libloading::Library)" +
		" -> Result<Self, libloading::Error> {")
	r.line("        Ok(Self {")
	for _, f := range functions {
		r.line("            %s: *library.get(c\"%s\")?,", f.name, f.name)
	}
	r.line("        })")
	r.line("    }")
	r.line("}")
}

// signature writes the type of a function with a comma behind it. It is in one line if that is
// short enough, else there is a line for each parameter.
func (r *rustWriter) signature(indent, before string, s signature) {
	start, params, result := s.rust()
	start = indent + before + start
	if line := start + strings.Join(params, ", ") + result + ","; len(line) <= columns {
		r.line("%s", line)
		return
	}
	// A type that fits into a line of its own is there, behind the name of its field.
	kind := indent + "    " + strings.TrimPrefix(start, indent+before) +
		strings.Join(params, ", ") + result + ","
	if before != "" && len(kind) <= columns {
		r.line("%s", indent+strings.TrimRight(before, " "))
		r.line("%s", kind)
		return
	}
	r.line("%s", start)
	for _, p := range params {
		r.line("%s    %s,", indent, p)
	}
	r.line("%s%s,", indent, result)
}

// rust returns the type of a function: what is before its parameters, they, and what is after them.
func (s signature) rust() (start string, params []string, result string) {
	for _, p := range s.params {
		params = append(params, p.name+": "+rustType(p.kind))
	}
	result = ")"
	if !s.result.isVoid() {
		result = ") -> " + rustType(s.result)
	}
	return `unsafe extern "C" fn(`, params, result
}

// sentence returns a comment behind a declaration as one before it: with a capital and a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	if !strings.HasPrefix(text, "sizeof(") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return strings.TrimSuffix(text, ".") + "."
}

var rustNames = map[string]string{
	"void": "c_void", "char": "c_char", "float": "f32", "size_t": "usize", "int32_t": "i32",
	"uint32_t": "u32",
}

func rustType(t ctype) string {
	name := t.name
	if other, ok := rustNames[name]; ok {
		name = other
	}
	for i := range t.pointers {
		if i == 0 && t.isConst {
			name = "*const " + name
		} else {
			name = "*mut " + name
		}
	}
	return name
}
