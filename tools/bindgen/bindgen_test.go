package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// small has one declaration of each kind.
const small = `/*
 * The top:
 *
 *     code();
 *
 *     more();
 *
 * - an item
 *   with more
 * - another
 */
#ifndef MULLAMA_H
#define MULLAMA_H
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The version. */
#define MULLAMA_ABI_VERSION 3

/* How it ended. */
typedef int32_t m_status;
enum {
    M_OK = 0,
    M_BAD = 1, /* it was bad */
};

/* ---- A heading ---- */

/* A thing. */
typedef struct m_thing m_thing;

/* Is told. */
typedef bool (*m_told)(float part, void *user);

/* A part:
 *
 *   text  a text
 */
typedef struct m_part {
    size_t size;      /* sizeof(m_part) */
    const char *text; /* its text, in
                         two lines */
} m_part;

/* Open and close. */
m_status m_open(const char *name, m_thing **thing);
void m_close(m_thing *thing);

uint32_t m_count(void);

m_status m_long(const m_thing *thing, const int32_t *numbers, size_t number_count, m_told told,
                void *user);
#endif
`

const smallPHP = `enum {
    MULLAMA_ABI_VERSION = 3
};
typedef int32_t m_status;
enum {
    M_OK = 0,
    M_BAD = 1
};
typedef struct m_thing m_thing;
typedef bool (*m_told)(float part, void *user);
typedef struct m_part {
    size_t size;
    const char *text;
} m_part;
m_status m_open(const char *name, m_thing **thing);
void m_close(m_thing *thing);
uint32_t m_count(void);
m_status m_long(const m_thing *thing, const int32_t *numbers, size_t number_count, m_told told,
    void *user);
`

func parsed(t *testing.T, source string) *header {
	t.Helper()
	h, err := parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPHPIsTheDeclarationsAlone(t *testing.T) {
	if got := php(parsed(t, small)); got != smallPHP {
		t.Errorf("got:\n%s\nwant:\n%s", got, smallPHP)
	}
}

func TestRustHasTypesAndComments(t *testing.T) {
	got := rust(parsed(t, small))
	for _, want := range []string{
		"//! The top:\n//!\n//! ```text\n//! code();\n//!\n//! more();\n//! ```\n//!\n" +
			"//! - an item with more\n//! - another\n",
		"/// The version.\npub const MULLAMA_ABI_VERSION: u32 = 3;\n",
		"/// How it ended.\npub type m_status = i32;\n",
		"pub const M_OK: i32 = 0;\n/// It was bad.\npub const M_BAD: i32 = 1;\n",
		"/// A thing.\n#[repr(C)]\npub struct m_thing {\n",
		`pub type m_told = Option<unsafe extern "C" fn(part: f32, user: *mut c_void)` +
			" -> bool>;\n",
		"/// A part:\n///\n/// - `text`: a text\n#[repr(C)]\n",
		"    /// sizeof(m_part).\n    pub size: usize,\n",
		"    /// Its text, in two lines.\n    pub text: *const c_char,\n",
		`    pub m_open: unsafe extern "C" fn(name: *const c_char,` +
			" thing: *mut *mut m_thing) -> m_status,\n",
		"    /// Open and close.\n" +
			"    pub m_close: unsafe extern \"C\" fn(thing: *mut m_thing),\n",
		"    pub m_count: unsafe extern \"C\" fn() -> u32,\n",
		"        told: m_told,\n        user: *mut c_void,\n    ) -> m_status,\n",
		"            m_open: *library.get(c\"m_open\")?,\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "heading") {
		t.Errorf("a heading is not a comment of what follows:\n%s", got)
	}
}

func TestCommentsAreWrapped(t *testing.T) {
	got := rustDoc("- a b c d\n  r  é\n     e f g\n\nh i j k l", 8)
	want := []string{"- a b c", "  d", "- `r`: é", "  e f g", "", "h i j k", "l"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsNotUnderstoodIsAnErrorWithItsLine(t *testing.T) {
	const top = "/* T */\n#ifndef MULLAMA_H\n#define MULLAMA_H\n"
	for _, tt := range []struct{ name, source, want string }{
		{"no comment at the top", "#ifndef MULLAMA_H\n", `1: "#ifndef MULLAMA_H" stands`},
		{"an unknown type", top + "\nlong f(void);", `5: "long" stands where a type`},
		{"an array", top + "void f(int32_t a[4]);", `4: "[4]);" is not understood`},
		{"a function with a body", top + "void f(void) {}", `4: "{" stands where ";"`},
		{"a parameter without a name", top + "void f(size_t);", `4: ")" stands where`},
		{"an enum without values", top + "enum {\n A,\n};", `5: "," stands where "="`},
		{"a macro with parameters", top + "#define F(x) x y", `4: "#define F(x) x y"`},
		{"another condition", top + "#if 1", `4: "#if 1" stands`},
		{"a condition without an end", top + "#ifdef __cplusplus", `4: #ifdef`},
		{"a comment without an end", top + "/* a", `4: "/* a" is not understood`},
		{"the end within", top + "void f(", `4: "the end" stands where a type`},
		{"a struct with two names", top + "typedef struct a { } b;", `4: "b" stands`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.source)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error is %v, want %s…", err, tt.want)
			}
		})
	}
}

func TestFilesOfTheRepositoryAreFresh(t *testing.T) {
	var errOut bytes.Buffer
	if run([]string{"-check"}, "../..", &errOut, &errOut) != 0 {
		t.Error(errOut.String())
	}
}

func TestStaleFilesAreFoundAndWritten(t *testing.T) {
	root := t.TempDir()
	if err := write(filepath.Join(root, headerPath), []byte(small)); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	for _, step := range []struct {
		args []string
		want int
	}{
		{[]string{"-check"}, 1}, {nil, 0}, {[]string{"-check"}, 0},
		{[]string{"more"}, 2}, {[]string{"-other"}, 2}, {[]string{"-help"}, 0},
	} {
		if got := run(step.args, root, &out, &errOut); got != step.want {
			t.Errorf("%q exits with %d: %s", step.args, got, errOut.String())
		}
	}
	got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(outputs[1].path)))
	if err != nil || string(got) != smallPHP {
		t.Errorf("wrote %q, %v", got, err)
	}
	if run(nil, t.TempDir(), &out, &errOut) != 1 {
		t.Error("a missing header is no error")
	}
}
