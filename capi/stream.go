package main

// #include "shim.h"
import "C"

import (
	"sync"
	"unsafe"
)

// stream is an answer with the memory of its last chunk.
type stream struct {
	answer answer

	reading sync.Mutex // held while somebody reads, or parts are delivered; guards what follows
	chunk   C.mullama_chunk
	buffer  unsafe.Pointer // of its texts
	size    int

	mu         sync.Mutex // guards what follows
	closed     bool
	delivering bool
}

// read waits for the next part and fills chunk with it.
func (s *stream) read(chunk *C.mullama_chunk) error {
	if err := s.beginReading(false); err != nil {
		return err
	}
	s.chunk.struct_size = C.sizeof_mullama_chunk
	err := s.fetch(&s.chunk)
	if err == nil {
		C.capi_copy_chunk(chunk, &s.chunk)
	}
	if closed := s.endReading(); closed && err == nil {
		err = streams.gone(1) // the texts of the chunk are
	}
	return err
}

// beginReading takes s.reading, for one part or for all of them.
func (s *stream) beginReading(deliver bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading.TryLock() {
		s.delivering = deliver
		return nil
	}
	if s.delivering {
		return invalid("the parts of this stream are told to a function; nobody else may read it")
	}
	return invalid("another thread reads this stream")
}

// fetch waits for the next part. Its caller has s.reading.
func (s *stream) fetch(chunk *C.mullama_chunk) error {
	p, err := s.answer.next()
	if err == nil {
		s.show(&p, chunk)
	}
	return err
}

// endReading lets go of s.reading. It frees what a close meanwhile could not, and reports whether
// there was one.
func (s *stream) endReading() (closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.free()
	}
	s.delivering = false
	s.reading.Unlock()
	return s.closed
}

// close ends the answer and frees the memory, or has the reader free it.
func (s *stream) close() {
	defer s.answer.cancel() // after it is closed, so that no reader gets the last part
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.reading.TryLock() {
		s.free()
		s.reading.Unlock()
	}
}

func (s *stream) free() {
	C.free(s.buffer)
	s.buffer, s.size = nil, 0
}

// show copies a part into C memory: tokens first, as they need to be aligned.
func (s *stream) show(p *part, chunk *C.mullama_chunk) {
	const tokenSize = 4
	need := tokenSize*len(p.tokens) + len(p.text) + len(p.thinking) + len(p.json) + 3
	if need > s.size {
		C.free(s.buffer)
		s.size = 2 * need
		s.buffer = C.malloc(C.size_t(s.size))
	}
	at := s.buffer
	copy(unsafe.Slice((*int32)(at), len(p.tokens)), p.tokens)
	chunk.tokens, chunk.token_count = (*C.int32_t)(at), C.size_t(len(p.tokens))
	at = unsafe.Add(at, tokenSize*len(p.tokens))
	place := func(length int, copyTo func([]byte)) (*C.char, C.size_t) {
		here := unsafe.Slice((*byte)(at), length+1)
		copyTo(here)
		here[length] = 0
		start := (*C.char)(at)
		at = unsafe.Add(at, length+1)
		return start, C.size_t(length)
	}
	chunk.text, chunk.text_size = place(len(p.text), func(to []byte) { copy(to, p.text) })
	chunk.thinking, chunk.thinking_size = place(len(p.thinking),
		func(to []byte) { copy(to, p.thinking) })
	chunk.json, chunk.json_size = place(len(p.json), func(to []byte) { copy(to, p.json) })
	chunk.done = C.bool(p.done)
}

// deliver has the parts told to a function of the caller. A close frees their memory when that is
// over.
func (s *stream) deliver(onChunk C.mullama_on_chunk, user unsafe.Pointer) error {
	if err := s.beginReading(true); err != nil {
		return err
	}
	go func() { // ends with the answer
		chunk := (*C.mullama_chunk)(C.calloc(1, C.sizeof_mullama_chunk))
		defer C.free(unsafe.Pointer(chunk))
		chunk.struct_size = C.sizeof_mullama_chunk
		for s.deliverOne(chunk, onChunk, user) {
		}
	}()
	return nil
}

// deliverOne tells a part, or how the answer ended. It reports whether more is to come.
func (s *stream) deliverOne(
	chunk *C.mullama_chunk, onChunk C.mullama_on_chunk, user unsafe.Pointer,
) bool {
	var failed *C.mullama_error
	status := call(&failed, func() error { return s.fetch(chunk) })
	if status != C.MULLAMA_OK {
		s.endReading() // first: who is told of the end may call again
		C.capi_on_chunk(onChunk, nil, status, failed, user)
		C.mullama_error_free(failed)
		return false
	}
	if !C.capi_on_chunk(onChunk, chunk, status, nil, user) {
		s.answer.cancel()
	}
	return true
}
