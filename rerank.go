package mullama

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/mullama/mullama/internal/embedder"
	"github.com/mullama/mullama/internal/llama"
)

// RerankRequest asks how well documents answer a query.
type RerankRequest struct {
	Query     string
	Documents []string
	// Raw leaves scores as the head of the model computes them, instead of between 0 and 1.
	Raw bool
	// Instruction tells a model that judges what is asked of it. "": whether a document answers the
	// query.
	Instruction string
}

// DocumentScore is the score of one document.
type DocumentScore struct {
	Score float64 // more is better
	Err   error   // what is wrong with this document
}

// The ways to rank.
const (
	RankedByHead  = "head"  // the model has a head that ranks documents
	RankedByJudge = "judge" // the model was asked about each document, and answered yes or no
)

// RerankResult has a score for each document, in their order.
type RerankResult struct {
	Scores []DocumentScore
	Tokens int // that were computed
	Method string
}

// Err returns the first error of a document, with its number; nil if there is none.
func (r *RerankResult) Err() error {
	for i, s := range r.Scores {
		if s.Err != nil {
			op := fmt.Sprintf("documents[%d]", i)
			return &Error{Kind: errorKind(s.Err), Op: op, Err: s.Err}
		}
	}
	return nil
}

// Best returns the numbers of the documents, those with the highest scores first.
func (r *RerankResult) Best() []int {
	order := make([]int, len(r.Scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := r.Scores[a].Score, r.Scores[b].Score; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return order
}

// Rerank scores how well documents answer a query, by the head of a model that ranks; without one,
// a model that chats is asked about each document, and the score is the probability of its yes
// beside that of its no. All documents are computed together. Documents that are too long are cut.
func (m *Model) Rerank(ctx context.Context, r *RerankRequest) (*RerankResult, error) {
	const op = "rerank"
	if m.remote != nil {
		return m.remote.rerank(ctx, m, r)
	}
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	if m.shared.embedders == nil {
		return nil, noWeights(op)
	}
	if r.Query == "" {
		return nil, invalid(op, "the query is empty")
	}
	info := m.shared.weights.Info()
	switch {
	case info.ClassifierWidth > 0:
		if err := m.checkQuery(op, r.Query); err != nil {
			return nil, err
		}
		ctx, end := m.untilClosed(ctx)
		defer end()
		return m.rankByHead(ctx, r)
	case m.shared.engine == nil:
		return nil, &Error{Kind: ErrUnsupported, Op: op,
			Err:  errors.New("this model embeds texts; it does not rank documents"),
			Hint: "compare the embeddings, or use a model that ranks or chats"}
	}
	return m.rankByJudge(ctx, r)
}

// checkQuery refuses a query that leaves no room for a document.
func (m *Model) checkQuery(op, query string) error {
	longest := m.shared.embedders.longest
	if err := m.tooLong(op, query, longest); err != nil {
		if full, ok := errors.AsType[*ContextFullError](err); ok {
			full.Part, full.Advice = "of the query "+full.Part, queryAdvice
			return &Error{Kind: ErrContextFull, Op: op, Err: &QueryError{full}}
		}
		return err
	}
	tokens, err := m.shared.weights.Tokenize(query, false, false)
	if err == nil && len(tokens) >= longest {
		return queryFull(op, len(tokens), longest)
	}
	return wrap(op, err)
}

const queryAdvice = "shorten the query"

// queryFull is the error of a query that leaves no room for a document.
func queryFull(op string, tokens, longest int) error {
	return &Error{Kind: ErrContextFull, Op: op, Err: &QueryError{&ContextFullError{
		Prompt: tokens, Context: longest, Part: "the query", Advice: queryAdvice}}}
}

// rankByHead embeds pairs of query and document with the head that ranks.
func (m *Model) rankByHead(ctx context.Context, r *RerankRequest) (*RerankResult, error) {
	const op = "rerank"
	engine, err := m.shared.embedders.get(llama.PoolingRank)
	if err != nil {
		return nil, wrap(op, err)
	}
	result := &RerankResult{Scores: make([]DocumentScore, len(r.Documents)), Method: RankedByHead}
	items := make([]*embedder.Item, len(r.Documents))
	var good []*embedder.Item
	for i, document := range r.Documents {
		tokens, err := m.pair(r.Query, document)
		if err != nil {
			result.Scores[i].Err = err
			continue
		}
		items[i] = &embedder.Item{Tokens: tokens}
		good = append(good, items[i])
		result.Tokens += len(tokens)
	}
	if err := engine.Do(ctx, good); err != nil {
		return nil, wrap(op, err)
	}
	for i, item := range items {
		switch {
		case item == nil:
		case item.Err != nil:
			result.Scores[i].Err = wrap(op, item.Err)
		default:
			result.Scores[i].Score = m.headScore(float64(item.Rows[0]), r.Raw)
		}
	}
	return result, nil
}

// headScore brings the number of a head between 0 and 1, unless it is a probability already.
func (m *Model) headScore(x float64, raw bool) float64 {
	if raw || strings.HasPrefix(m.shared.info.Architecture, "qwen3") {
		return x
	}
	return 1 / (1 + math.Exp(-x))
}

// rerankTemplate is the key of the template of models that rank.
const rerankTemplate = "tokenizer.chat_template.rerank"

// pair makes the tokens of a query and a document. Models that rank know these from each other by
// the tokens between them, or by the words of a template that their file has.
func (m *Model) pair(query, document string) ([]Token, error) {
	const op = "rerank"
	longest := m.shared.embedders.longest
	if document == "" {
		return nil, invalid(op, "the document is empty")
	}
	document = clipBytes(document, likelyBytes*longest)
	template, _ := m.shared.info.Metadata[rerankTemplate].(string)
	if template != "" {
		return m.templatePair(template, query, document, longest)
	}
	info := m.shared.weights.Info()
	first, err := m.shared.weights.Tokenize(query, false, false)
	if err != nil {
		return nil, wrap(op, err)
	}
	second, err := m.shared.weights.Tokenize(document, false, false)
	if err != nil {
		return nil, wrap(op, err)
	}
	eos := info.EOS
	if eos < 0 {
		eos = info.SEP
	}
	var tokens []Token
	special := func(add bool, t Token) {
		if add && t >= 0 {
			tokens = append(tokens, t)
		}
	}
	special(info.AddBOS, info.BOS)
	tokens = append(tokens, first...)
	special(info.AddEOS, eos)
	special(info.AddSEP, info.SEP)
	const around = 2 // tokens that follow
	room := longest - len(tokens) - around
	if room <= 0 {
		return nil, queryFull(op, len(tokens), longest)
	}
	tokens = append(tokens, second[:min(room, len(second))]...)
	special(info.AddEOS || info.AddSEP, eos)
	return tokens, nil
}

// templatePair fills in a template, in which control tokens come from the template alone.
func (m *Model) templatePair(
	template, query, document string, longest int,
) ([]Token, error) {
	const op = "rerank"
	var tokens, tail []Token
	room := longest
	parts := splitTemplate(template)
	for i, part := range parts {
		text, special := part.text, true
		switch part.name {
		case "query":
			text, special = query, false
		case "document":
			text, special = document, false
		}
		more, err := m.shared.weights.Tokenize(text, i == 0, special)
		if err != nil {
			return nil, wrap(op, err)
		}
		if part.name == "document" {
			for _, rest := range parts[i+1:] {
				after, err := m.shared.weights.Tokenize(rest.text, false, true)
				if err != nil {
					return nil, wrap(op, err)
				}
				tail = append(tail, after...)
			}
			more = more[:max(0, min(len(more), room-len(tokens)-len(tail)))]
		}
		tokens = append(tokens, more...)
	}
	if len(tokens) > longest {
		return nil, queryFull(op, len(tokens), longest)
	}
	return tokens, nil
}

// templatePart is text of a template, or the name of what goes there.
type templatePart struct{ text, name string }

// splitTemplate finds {query} and {document} in a template.
func splitTemplate(template string) []templatePart {
	var parts []templatePart
	for template != "" {
		at, name := len(template), ""
		for _, n := range []string{"query", "document"} {
			if i := strings.Index(template, "{"+n+"}"); i >= 0 && i < at {
				at, name = i, n
			}
		}
		if at > 0 {
			parts = append(parts, templatePart{text: template[:at]})
		}
		if name == "" {
			break
		}
		parts = append(parts, templatePart{name: name})
		template = template[at+len(name)+len("{}"):]
	}
	return parts
}

// clipBytes cuts a text to so many bytes, not within a character.
func clipBytes(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// judgeInstruction is what a model that judges is told.
const judgeInstruction = "Decide whether the document answers the query. Reply with yes or no, " +
	"and nothing else."

// judgeTogether is how many documents a model judges at once; more would only wait.
const judgeTogether = 32

// rankByJudge asks about each document.
func (m *Model) rankByJudge(ctx context.Context, r *RerankRequest) (*RerankResult, error) {
	result := &RerankResult{Scores: make([]DocumentScore, len(r.Documents)), Method: RankedByJudge}
	var (
		calls sync.WaitGroup
		mu    sync.Mutex // guards result.Tokens
		turns = make(chan struct{}, judgeTogether)
	)
	for i, document := range r.Documents {
		turns <- struct{}{}
		calls.Go(func() {
			defer func() { <-turns }()
			score, tokens, err := m.judge(ctx, r, document)
			result.Scores[i] = DocumentScore{Score: score, Err: err}
			mu.Lock()
			defer mu.Unlock()
			result.Tokens += tokens
		})
	}
	calls.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, wrap("rerank", err)
	}
	return result, nil
}

// judge asks the model about one document. What is before the document is the same for all, so that
// it is computed once.
func (m *Model) judge(
	ctx context.Context, r *RerankRequest, document string,
) (score float64, tokens int, err error) {
	const op = "rerank"
	if document == "" {
		return 0, 0, invalid(op, "the document is empty")
	}
	instruction := r.Instruction
	if instruction == "" {
		instruction = judgeInstruction
	}
	const share = 2 // a document may take half of the context, in bytes of short tokens
	document = clipBytes(document, max(1, m.shared.size*likelyBytes/share/share))
	greedy := DefaultSampling()
	greedy.Temperature = 0
	off := false
	opts := &ChatOptions{Thinking: &off, GenerateOptions: GenerateOptions{
		Sampling: &greedy, MaxTokens: 1, Logprobs: true, TopLogprobs: judgeTop,
	}}
	stream, err := m.Chat(ctx, []Message{
		{Role: "system", Content: instruction},
		{Role: "user", Content: "Query: " + r.Query + "\n\nDocument: " + document +
			"\n\nDoes the document answer the query? Reply with yes or no."},
	}, opts)
	if err != nil {
		return 0, 0, err
	}
	defer stream.Close()
	var top []TopLogprob
	for chunk, err := range stream.All() {
		if err != nil {
			return 0, 0, err
		}
		if len(chunk.Logprobs) > 0 && top == nil {
			top = chunk.Logprobs[0].Top
		}
		if chunk.Done && chunk.Stats != nil {
			tokens = chunk.Stats.PromptTokens
		}
	}
	return yesBesideNo(top), tokens, nil
}

// judgeTop is how many likely tokens are searched for a yes or a no.
const judgeTop = 100

// yesBesideNo is p(yes) / (p(yes) + p(no)), over all ways to write these.
func yesBesideNo(top []TopLogprob) float64 {
	var yes, no float64
	for _, t := range top {
		p := math.Exp(float64(t.Logprob))
		switch strings.ToLower(strings.TrimSpace(string(t.Bytes))) {
		case "yes":
			yes += p
		case "no":
			no += p
		}
	}
	if yes+no == 0 {
		return 0
	}
	return yes / (yes + no)
}
