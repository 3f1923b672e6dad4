package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// signature is the start of files of another kind, with the sentence part that names it.
type signature struct {
	prefix string
	says   string
}

var signatures = []signature{
	{"version https://git-lfs", "it is a git-lfs pointer; git lfs pull fetches the real file"},
	{"lmgg", "it is a llama.cpp file from before GGUF; get a GGUF file of the model"},
	{"fmgg", "it is a llama.cpp file from before GGUF; get a GGUF file of the model"},
	{"tjgg", "it is a llama.cpp file from before GGUF; get a GGUF file of the model"},
	{"algg", "it is a LoRA adapter from before GGUF; convert it to GGUF"},
	{"\x1f\x8b", "it is compressed with gzip; unpack it first"},
	{"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it first"},
	{"\xfd7zXZ\x00", "it is compressed with xz; unpack it first"},
	{"BZh", "it is compressed with bzip2; unpack it first"},
	{"7z\xbc\xaf\x27\x1c", "it is a 7-zip archive; unpack it first"},
	{"\x89HDF\r\n", "it looks like an HDF5 file; convert the model to GGUF"},
	{"\x93NUMPY", "it looks like a NumPy array; convert the model to GGUF"},
	{"\x7fELF", "it is a program or library, not a model"},
	{"MZ", "it is a Windows program or library, not a model"},
	{"FROM ", "it looks like a Modelfile; name the .gguf file"},
}

// looksLike says what a file that is not GGUF seems to be, and what to do.
func looksLike(head []byte, size int64) string {
	if size == 0 {
		return "it is empty; fetch it again"
	}
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.prefix)) {
			return s.says
		}
	}
	for _, look := range []func([]byte, int64) string{container, text} {
		if says := look(head, size); says != "" {
			return says
		}
	}
	return fmt.Sprintf("it starts with % x, not with GGUF", head[:min(len(head), 8)])
}

// container recognises formats by more than their first bytes.
func container(head []byte, size int64) string {
	switch {
	case len(bytes.Trim(head, "\x00")) == 0:
		return "it starts with zeros, as an unfinished download does; fetch it again"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return zipKind(head)
	case isSafetensors(head, size):
		return "it looks like safetensors; convert the model to GGUF"
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return "it is a tar archive; unpack it first"
	case len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5:
		return "it looks like a PyTorch checkpoint; convert the model to GGUF"
	case len(head) >= 8 && string(head[4:8]) == "TFL3":
		return "it looks like a TensorFlow Lite model; get a GGUF file of the model"
	}
	return ""
}

// zipKind tells a PyTorch checkpoint, which is a zip with data.pkl in it, from other archives.
func zipKind(head []byte) string {
	if bytes.Contains(head, []byte("/data.pkl")) {
		return "it looks like a PyTorch checkpoint; convert the model to GGUF"
	}
	return "it is a zip archive; unpack it first"
}

// isSafetensors checks for an 8-byte length that fits in the file, followed by JSON.
func isSafetensors(head []byte, size int64) bool {
	if len(head) < 9 || head[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	return n > 0 && n <= uint64(size-8)
}

func text(head []byte, _ int64) string {
	trimmed := bytes.TrimLeft(head, "\ufeff \t\r\n")
	lower := bytes.ToLower(trimmed[:min(len(trimmed), 64)])
	switch {
	case bytes.HasPrefix(lower, []byte("<!doctype html")), bytes.HasPrefix(lower, []byte("<html")):
		return "it is a web page, perhaps an error or login page; fetch the model again"
	case bytes.HasPrefix(lower, []byte("<?xml")):
		return "it is XML, perhaps an error message; fetch the model again"
	case bytes.HasPrefix(trimmed, []byte("{")), bytes.HasPrefix(trimmed, []byte("[")):
		return "it looks like JSON, perhaps an error message; fetch the model again"
	case isText(head):
		return "it is text; name the .gguf file"
	}
	return ""
}

// isText reports whether head is UTF-8 without control characters. The last rune may be cut off.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(head)
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
		head = head[n:]
	}
	return true
}
