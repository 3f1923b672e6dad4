package scripted

import (
	"slices"

	"github.com/mullama/mullama/internal/engine"
)

// EndToken ends every script.
const EndToken engine.Token = 1

// Sampler follows the script for one prompt.
type Sampler struct {
	model    *Model
	sampling engine.Sampling
	prompt   []engine.Token
	script   []Piece
	sampled  []engine.Token
	primed   bool
	closed   bool
}

// Prime sets the prompt, which decides the script.
func (s *Sampler) Prime(prompt []engine.Token) {
	if s.primed || s.closed {
		s.model.violate("a sampler is primed twice or after its end")
	}
	s.primed = true
	if s.model.cfg.Guess != nil {
		return
	}
	s.prompt = slices.Clone(prompt)
	s.script = s.model.cfg.Script(s.prompt, s.sampling)
}

// Close ends the use of the sampler.
func (s *Sampler) Close() {
	if s.closed {
		s.model.violate("a sampler is closed twice")
		return
	}
	s.closed = true
	s.model.mu.Lock()
	defer s.model.mu.Unlock()
	s.model.samplers--
}

// next returns the next row of the script, if the sequence holds what led to it.
func (s *Sampler) next(cached []engine.Token, top int) engine.Row {
	if !s.primed || s.closed {
		s.model.violate("a sampler is used before its prompt or after its end")
	}
	if guess := s.model.cfg.Guess; guess != nil {
		p := guess(cached)
		return engine.Row{Token: p.Token, End: p.End, Piece: p.Bytes, Err: p.Err,
			Logprob: p.Logprob}
	}
	n := len(s.prompt)
	if s.model.cfg.Shifts {
		s.checkEnd(cached)
	} else if len(cached) != n+len(s.sampled) || !slices.Equal(cached[:n], s.prompt) ||
		!slices.Equal(cached[n:], s.sampled) {
		s.model.violate("the cache holds %d tokens %v for the prompt %v and %v", len(cached),
			cached, s.prompt, s.sampled)
	}
	if len(s.sampled) >= len(s.script) {
		return engine.Row{Token: EndToken, End: true}
	}
	p := &s.script[len(s.sampled)]
	s.sampled = append(s.sampled, p.Token)
	row := engine.Row{Token: p.Token, End: p.End, Piece: p.Bytes, Err: p.Err}
	if top >= 0 {
		row.Logprob = p.Logprob
		row.Top = p.Top[:min(top, len(p.Top))]
	}
	return row
}

// checkEnd compares the last quarter of what the sequence holds.
func (s *Sampler) checkEnd(cached []engine.Token) {
	all := slices.Concat(s.prompt, s.sampled)
	end := cached[len(cached)-(len(cached)+3)/4:]
	if len(all) < len(cached) || !slices.Equal(all[len(all)-len(end):], end) {
		s.model.violate("the cache ends with %v after %v", end, all)
	}
}

// Text returns pieces with the given bytes. Their tokens are counted from 1000.
func Text(pieces ...string) []Piece {
	all := make([]Piece, len(pieces))
	for i, p := range pieces {
		all[i] = Piece{Token: 1000 + engine.Token(i), Bytes: []byte(p)}
	}
	return all
}

// Echo is a Script that repeats the prompt, each token taken as one byte.
func Echo(prompt []engine.Token, _ engine.Sampling) []Piece {
	all := make([]Piece, len(prompt))
	for i, t := range prompt {
		all[i] = Piece{Token: t, Bytes: []byte{byte(t)}}
	}
	return all
}

// Prompt returns text as the tokens that Echo repeats.
func Prompt(text string) []engine.Token {
	tokens := make([]engine.Token, len(text))
	for i := range len(text) {
		tokens[i] = engine.Token(text[i])
	}
	return tokens
}
