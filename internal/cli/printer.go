package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mullama/mullama"
)

// answerPrinter shows an answer while it is made.
type answerPrinter interface {
	chunk(mullama.Chunk) error
	end(last mullama.Chunk) error // after the last chunk, also of an answer that was cut short
	fail(error)                   // instead of end
}

// textPrinter prints the text of an answer and a line end after it. Thoughts come before the text,
// between the lines that Ollama prints around them.
type textPrinter struct {
	app          *app
	hideThoughts bool
	thinking     bool // the last that was printed is a thought
	midLine      bool
}

func (p *textPrinter) chunk(c mullama.Chunk) error {
	if c.Thinking != "" && !p.hideThoughts {
		if !p.thinking {
			c.Thinking = "Thinking...\n" + c.Thinking
		}
		p.thinking = true
		if err := p.print(c.Thinking); err != nil {
			return err
		}
	}
	if c.Text == "" {
		return nil
	}
	if p.thinking {
		p.thinking = false
		c.Text = "\n...done thinking.\n\n" + c.Text
	}
	return p.print(c.Text)
}

func (p *textPrinter) print(text string) error {
	if p.app.stdoutIsTerminal {
		text = printable(text)
	}
	p.midLine = !strings.HasSuffix(text, "\n")
	_, err := io.WriteString(p.app.stdout, text)
	return err
}

func (p *textPrinter) end(mullama.Chunk) error {
	if !p.midLine {
		return nil
	}
	p.midLine = false
	_, err := io.WriteString(p.app.stdout, "\n")
	return err
}

func (p *textPrinter) fail(error) { _ = p.end(mullama.Chunk{}) }

// jsonPrinter prints an answer as NDJSON.
type jsonPrinter struct {
	app      *app
	logprobs bool
	loading  time.Duration
}

// chunkLine is a line with a part of the answer.
type chunkLine struct {
	Text     string        `json:"text"`
	Thinking string        `json:"thinking,omitempty"`
	Tokens   []int32       `json:"tokens"`
	Logprobs []logprobLine `json:"logprobs,omitempty"`
}

// logprobLine is a token with its log probability. Bytes are the token's own, which need not be
// valid UTF-8.
type logprobLine struct {
	ID      int32         `json:"id"`
	Piece   string        `json:"piece"`
	Bytes   []int         `json:"bytes"`
	Logprob float32       `json:"logprob"`
	Top     []logprobLine `json:"top,omitempty"`
}

// doneLine is the last line of an answer.
type doneLine struct {
	Done         bool       `json:"done"`
	FinishReason string     `json:"finish_reason"`
	StopString   string     `json:"stop_string,omitempty"`
	Stats        *statsLine `json:"stats,omitempty"`
}

// statsLine is what an answer cost. Times are in milliseconds.
type statsLine struct {
	PromptTokens    int     `json:"prompt_tokens"`
	CachedTokens    int     `json:"cached_tokens"`
	GeneratedTokens int     `json:"generated_tokens"`
	DraftedTokens   int     `json:"draft_n,omitempty"`
	AcceptedTokens  int     `json:"draft_n_accepted,omitempty"`
	QueueMS         float64 `json:"queue_ms"`
	PrefillMS       float64 `json:"prefill_ms"`
	FirstTokenMS    float64 `json:"first_token_ms"`
	DecodeMS        float64 `json:"decode_ms"`
	TotalMS         float64 `json:"total_ms"`
	LoadMS          float64 `json:"load_ms"`
}

// errorLine is the last line of an answer that failed.
type errorLine struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Code    int    `json:"code"` // exit code of the program
}

func (p *jsonPrinter) chunk(c mullama.Chunk) error {
	if c.Text+c.Thinking == "" && len(c.Tokens) == 0 {
		return nil
	}
	line := chunkLine{Text: c.Text, Thinking: c.Thinking, Tokens: c.Tokens}
	if p.logprobs {
		line.Logprobs = logprobLines(c.Logprobs)
	}
	return p.app.printJSON(line)
}

func (p *jsonPrinter) end(last mullama.Chunk) error {
	return p.app.printJSON(doneLine{
		Done:         true,
		FinishReason: string(last.FinishReason),
		StopString:   last.StopString,
		Stats:        newStatsLine(last.Stats, p.loading),
	})
}

func (p *jsonPrinter) fail(err error) {
	_ = p.app.printJSON(errorLine{errorBody{err.Error(), hint(err), exitCode(err)}})
}

// newStatsLine converts s, which may be nil.
func newStatsLine(s *mullama.Stats, loading time.Duration) *statsLine {
	if s == nil {
		return nil
	}
	return &statsLine{
		PromptTokens:    s.PromptTokens,
		CachedTokens:    s.CachedTokens,
		GeneratedTokens: s.GeneratedTokens,
		DraftedTokens:   s.DraftedTokens,
		AcceptedTokens:  s.AcceptedTokens,
		QueueMS:         milliseconds(s.Queue),
		PrefillMS:       milliseconds(s.Prefill),
		FirstTokenMS:    milliseconds(s.FirstToken),
		DecodeMS:        milliseconds(s.Decode),
		TotalMS:         milliseconds(s.Total),
		LoadMS:          milliseconds(loading),
	}
}

// logprobLines converts tokens with their alternatives.
func logprobLines(tokens []mullama.TokenLogprob) []logprobLine {
	lines := make([]logprobLine, len(tokens))
	for i, t := range tokens {
		lines[i] = logprobLine{
			ID: t.Token, Piece: string(t.Bytes), Bytes: byteNumbers(t.Bytes),
			Logprob: t.Logprob, Top: topLines(t.Top),
		}
	}
	return lines
}

// topLines converts the alternatives to a token.
func topLines(tokens []mullama.TopLogprob) []logprobLine {
	lines := make([]logprobLine, len(tokens))
	for i, t := range tokens {
		lines[i] = logprobLine{
			ID: t.Token, Piece: string(t.Bytes), Bytes: byteNumbers(t.Bytes), Logprob: t.Logprob,
		}
	}
	return lines
}

// byteNumbers writes bytes as JSON numbers, where encoding/json would write base64.
func byteNumbers(data []byte) []int {
	numbers := make([]int, len(data))
	for i, b := range data {
		numbers[i] = int(b)
	}
	return numbers
}

// milliseconds rounds d to microseconds.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// printTimings prints what an answer cost to stderr. loading is 0 when nothing was loaded for it.
func (a *app) printTimings(s *mullama.Stats, loading time.Duration) {
	if s == nil {
		return
	}
	rows := table(a.stderr)
	defer rows.end()
	if loading > 0 {
		fmt.Fprintf(rows, "load\t%s\n", shortDuration(loading))
	}
	cached := ""
	if s.CachedTokens > 0 {
		cached = fmt.Sprintf("  (%d from the cache)", s.CachedTokens)
	}
	fmt.Fprintf(rows, "prompt\t%d tokens  %s%s\n",
		s.PromptTokens, rate(s.PromptTokens-s.CachedTokens, s.Prefill), cached)
	// The first token comes out of the prefill, so the decode time belongs to the others.
	fmt.Fprintf(
		rows,
		"generated\t%d tokens  %s\n",
		s.GeneratedTokens,
		rate(s.GeneratedTokens-1, s.Decode),
	)
	if s.DraftedTokens > 0 {
		fmt.Fprintf(rows, "drafted\t%d tokens  %d of them right\n", s.DraftedTokens,
			s.AcceptedTokens)
	}
	fmt.Fprintf(rows, "first token\t%s\n", shortDuration(s.FirstToken))
	fmt.Fprintf(rows, "total\t%s\n", shortDuration(s.Total))
}

// rate writes tokens per second.
func rate(tokens int, d time.Duration) string {
	if tokens <= 0 || d <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f tokens/s", float64(tokens)/d.Seconds())
}

// shortDuration writes d with three digits or so.
func shortDuration(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", milliseconds(d))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
