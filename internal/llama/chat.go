package llama

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"fmt"
	"runtime"
	"unsafe"
)

// Chat is a chat template that is ready to render.
type Chat struct {
	*chatHandle
	lib *Library
}

type chatHandle struct {
	handle
	ptr *C.mn_chat
}

// ChatPrompt is a rendered conversation. In Tokens, control tokens come from the template alone:
// the same text in a message stays text.
type ChatPrompt struct {
	Prompt           string   `json:"prompt"`
	Tokens           []Token  `json:"-"`
	GenerationPrompt string   `json:"generation_prompt"` // the part that opens the answer
	Format           int      `json:"format"`
	Parser           string   `json:"parser"`
	Grammar          string   `json:"grammar"`
	GrammarLazy      bool     `json:"grammar_lazy"`
	Stops            []string `json:"stops"`
	SupportsThinking bool     `json:"supports_thinking"`
	ThinkingStart    string   `json:"thinking_start"`
	ThinkingEnd      []string `json:"thinking_end"`
}

// NewChat parses a Jinja template, the model's own if source is empty. It returns ErrUnsupported
// when the model has none.
func (m *Model) NewChat(source string) (*Chat, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	h := &chatHandle{}
	var e C.mn_error
	status := C.shim_chat_new(m.lib.table, m.ptr, stringPtr(source), C.size_t(len(source)),
		&h.ptr, &e)
	if err := check(status, &e); err != nil {
		m.release()
		return nil, err
	}
	model, table := m.modelHandle, m.lib.table
	h.init(func() {
		C.shim_chat_free(table, h.ptr)
		model.release()
	})
	c := &Chat{chatHandle: h, lib: m.lib}
	runtime.AddCleanup(c, func(h *chatHandle) { h.close() }, h)
	return c, nil
}

// Close frees the template.
func (c *Chat) Close() { c.close() }

// Source returns the template's text.
func (c *Chat) Source() (string, error) {
	return c.text(func(out *C.mn_buf, e *C.mn_error) C.mn_status {
		return C.shim_chat_source(c.lib.table, c.ptr, out, e)
	})
}

// Capabilities returns what the template can express, by llama.cpp's names.
func (c *Chat) Capabilities() (map[string]bool, error) {
	text, err := c.text(func(out *C.mn_buf, e *C.mn_error) C.mn_status {
		return C.shim_chat_caps(c.lib.table, c.ptr, out, e)
	})
	if err != nil {
		return nil, err
	}
	caps := map[string]bool{}
	return caps, json.Unmarshal([]byte(text), &caps)
}

func (c *Chat) text(get func(*C.mn_buf, *C.mn_error) C.mn_status) (string, error) {
	if err := c.acquire(); err != nil {
		return "", err
	}
	defer c.release()
	var out C.mn_buf
	var e C.mn_error
	if err := check(get(&out, &e), &e); err != nil {
		return "", err
	}
	return string(c.lib.take(out)), nil
}

// Apply renders a request, JSON as described at chat_apply in mullama_native.h.
func (c *Chat) Apply(request []byte) (*ChatPrompt, error) {
	if err := c.acquire(); err != nil {
		return nil, err
	}
	defer c.release()
	var reply, tokens C.mn_buf
	var e C.mn_error
	status := C.shim_chat_apply(c.lib.table, c.ptr, bytesPtr(request), C.size_t(len(request)),
		&reply, &tokens, &e)
	if err := check(status, &e); err != nil {
		return nil, err
	}
	defer C.shim_buf_free(c.lib.table, tokens)
	p := &ChatPrompt{}
	if err := json.Unmarshal(c.lib.take(reply), p); err != nil {
		return nil, fmt.Errorf("chat template reply: %w", err)
	}
	n := int(tokens.size) / int(unsafe.Sizeof(Token(0)))
	p.Tokens = append(p.Tokens, unsafe.Slice((*Token)(unsafe.Pointer(tokens.data)), n)...)
	return p, nil
}
