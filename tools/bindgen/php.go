package main

import (
	"fmt"
	"strings"
)

const columns = 100

// php returns the declarations without comments and lines of the preprocessor. Macros become
// constants of an enum, because FFI::cdef knows no other kind.
func php(h *header) string {
	var out strings.Builder
	for _, d := range h.decls {
		switch d := d.(type) {
		case *macro:
			phpEnum(&out, []macro{*d})
		case *enum:
			phpEnum(&out, d.values)
		case *opaque:
			fmt.Fprintf(&out, "typedef struct %s %s;\n", d.name, d.name)
		case *alias:
			fmt.Fprintf(&out, "typedef %s%s;\n", d.of, d.name)
		case *callback:
			start := fmt.Sprintf("typedef %s(*%s)(", d.result, d.name)
			phpFunction(&out, start, d.params)
		case *record:
			fmt.Fprintf(&out, "typedef struct %s {\n", d.name)
			for _, f := range d.fields {
				fmt.Fprintf(&out, "    %s%s;\n", f.kind, f.name)
			}
			fmt.Fprintf(&out, "} %s;\n", d.name)
		case *function:
			phpFunction(&out, fmt.Sprintf("%s%s(", d.result, d.name), d.params)
		}
	}
	return out.String()
}

// phpEnum has no comma after the last value, which not every parser of C takes.
func phpEnum(out *strings.Builder, values []macro) {
	out.WriteString("enum {\n")
	for i, v := range values {
		comma := ","
		if i == len(values)-1 {
			comma = ""
		}
		fmt.Fprintf(out, "    %s = %s%s\n", v.name, v.value, comma)
	}
	out.WriteString("};\n")
}

// phpFunction writes the parameters behind start, in further lines where one is not enough.
func phpFunction(out *strings.Builder, start string, params []variable) {
	var texts []string
	for _, p := range params {
		texts = append(texts, p.kind.String()+p.name)
	}
	if len(texts) == 0 {
		texts = []string{"void"}
	}
	line := start
	for i, text := range texts {
		text += ","
		if i == len(texts)-1 {
			text = strings.TrimSuffix(text, ",") + ");"
		}
		switch {
		case i == 0:
		case len(line)+1+len(text) > columns:
			out.WriteString(line + "\n")
			line = "    "
		default:
			line += " "
		}
		line += text
	}
	out.WriteString(line + "\n")
}
