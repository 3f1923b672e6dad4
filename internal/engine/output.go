package engine

import "bytes"

// output turns the pieces of one request's tokens into text: stop strings are found in the raw
// bytes, then the bytes that cannot belong to one become valid UTF-8. What is ready to be sent is
// in text, tokens and logprobs until drain.
type output struct {
	stops stops
	shown map[Token][]byte // as Request.Shown
	utf8  assembler
	held  []byte  // raw bytes that may be the start of a stop string
	late  []piece // tokens whose text is not ready, oldest first
	size  int     // raw bytes seen

	text     []byte
	tokens   []Token
	logprobs []TokenLogprob
	stop     string // the stop string found, or ""
}

// piece is a token that covers the raw bytes from start to end.
type piece struct {
	token      Token
	start, end int
	logprob    *TokenLogprob
}

func newOutput(stop []string, shown map[Token][]byte) output {
	return output{stops: newStops(stop), shown: shown}
}

// push takes the next token. It reports true when the text has come to a stop string; then only
// flush may follow.
func (o *output) push(row *Row, logprobs bool) (stopped bool) {
	if len(row.Piece) == 0 {
		row.Piece = o.shown[row.Token]
	}
	p := piece{token: row.Token, start: o.size, end: o.size + len(row.Piece)}
	if logprobs {
		p.logprob = row.keep()
	}
	o.late = append(o.late, p)
	o.size = p.end

	found, end := o.stops.scan(row.Piece)
	o.held = append(o.held, row.Piece[:end]...)
	if found != "" {
		o.stop = found
		o.held = o.held[:len(o.held)-len(found)]
		return true
	}
	o.write(len(o.held) - o.stops.held())
	o.release()
	return false
}

// flush readies everything that was held back: nothing follows that could complete it.
func (o *output) flush() {
	o.write(len(o.held))
	o.text = o.utf8.flush(o.text)
	o.release()
}

// write turns the first n held bytes into text.
func (o *output) write(n int) {
	o.text = o.utf8.write(o.text, o.held[:n])
	o.held = o.held[:copy(o.held, o.held[n:])]
}

// release readies the tokens whose text has begun. One without text goes with the text before it.
func (o *output) release() {
	n := 0
	for n < len(o.late) && o.late[n].begun(o.utf8.consumed) {
		o.tokens = append(o.tokens, o.late[n].token)
		if lp := o.late[n].logprob; lp != nil {
			o.logprobs = append(o.logprobs, *lp)
		}
		n++
	}
	rest := copy(o.late, o.late[n:])
	clear(o.late[rest:])
	o.late = o.late[:rest]
}

func (p *piece) begun(consumed int) bool {
	return p.start < consumed || p.start == p.end && p.start == consumed
}

// ready reports whether there is something to send.
func (o *output) ready() bool { return len(o.text) > 0 || len(o.tokens) > 0 }

// drain forgets what was sent.
func (o *output) drain() {
	o.text, o.tokens = o.text[:0], o.tokens[:0]
	clear(o.logprobs)
	o.logprobs = o.logprobs[:0]
}

// keep copies what the model owns of r.
func (r *Row) keep() *TokenLogprob {
	lp := &TokenLogprob{Token: r.Token, Bytes: bytes.Clone(r.Piece), Logprob: r.Logprob}
	if len(r.Top) > 0 {
		lp.Top = make([]TopToken, len(r.Top))
	}
	for i, t := range r.Top {
		lp.Top[i] = TopToken{Token: t.Token, Logprob: t.Logprob, Piece: bytes.Clone(t.Piece)}
	}
	return lp
}
