package mullama

import (
	"fmt"
	"strings"
	"sync"

	"github.com/mullama/mullama/internal/embedder"
	"github.com/mullama/mullama/internal/llama"
)

const (
	// embedBatch is how many tokens are computed together on a CPU. Each token looks at all others
	// of its batch, be they of another text, if only to find that it must not, and what is computed
	// of larger batches does not stay in the caches: MiniLM is slower in batches of 1024. Smaller
	// ones read the weights more often.
	embedBatch = 256
	// embedBatchGPU is the same for a GPU, which has cores for many more.
	embedBatchGPU = 2048
	// embedLongest bounds the texts of models that also generate, whose context may be so long that
	// the buffers for a whole text of that length take many gigabytes.
	embedLongest = 8192
	// embedTexts is how many texts a batch has at most: llama.cpp's limit.
	embedTexts = 256
	// embedStates is the same for models that keep a state for each text.
	embedStates = 8
)

// embedders are the contexts for embeddings of a loaded model, each made when it is first needed
// and kept as long as the model.
type embedders struct {
	weights *llama.Model
	params  llama.ContextParams
	longest int
	gpu     bool // the weights are on one

	mu      sync.Mutex               // guards the rest
	engines map[int]*embedder.Engine // by pooling
	first   *llama.Context           // made when the model was loaded, if it was
	closed  bool
}

func newEmbedders(
	weights *llama.Model, params llama.ContextParams, size int, gpu bool,
) *embedders {
	info := weights.Info()
	longest := size
	if info.Generates {
		longest = min(longest, embedLongest)
	}
	if info.Positions > 0 {
		longest = min(longest, info.Positions)
	}
	params.Embeddings, params.UnifiedSequences = true, true
	return &embedders{
		weights: weights, params: params, longest: longest, gpu: gpu,
		engines: map[int]*embedder.Engine{},
	}
}

// get returns the engine for a way to pool.
func (e *embedders) get(pooling int) (*embedder.Engine, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, llama.ErrClosed
	}
	if engine := e.engines[pooling]; engine != nil {
		return engine, nil
	}
	tokens, sequences := e.batch()
	engine := embedder.New(embedder.Config{
		Tokens: tokens, Longest: e.longest, Sequences: sequences,
		Make: func(tokens, sequences int) (embedder.Model, error) {
			c, err := e.context(pooling, tokens, sequences)
			if err != nil {
				return nil, err
			}
			return embedder.NewNative(c), nil
		},
	})
	e.engines[pooling] = engine
	return engine, nil
}

// batch is how many tokens and texts a batch has at most.
func (e *embedders) batch() (tokens, sequences int) {
	tokens, sequences = embedBatch, embedTexts
	if e.gpu {
		tokens = embedBatchGPU
	}
	tokens = min(tokens, e.longest)
	if info := e.weights.Info(); info.Recurrent || info.Hybrid {
		sequences = embedStates
	}
	return tokens, min(sequences, tokens)
}

// context makes a context for batches of so many tokens.
func (e *embedders) context(pooling, tokens, sequences int) (*llama.Context, error) {
	e.mu.Lock()
	first := e.first
	e.first = nil
	e.mu.Unlock()
	if first != nil {
		own, _ := first.Pooling()
		if own == pooling && first.Limits().UBatch >= tokens &&
			first.Limits().Sequences >= sequences {
			return first, nil
		}
		first.Close()
	}
	return e.make(pooling, tokens, sequences)
}

func (e *embedders) make(pooling, tokens, sequences int) (*llama.Context, error) {
	p := e.params
	// llama.cpp plans for batches in which all sequences are of one length.
	tokens = (tokens + sequences - 1) / sequences * sequences
	p.Ctx, p.Batch, p.UBatch, p.Sequences = tokens, tokens, tokens, sequences
	p.Pooling = pooling
	c, err := e.weights.NewContext(p)
	if err != nil {
		return nil, fmt.Errorf("make a context for embeddings of %d tokens: %w", tokens, err)
	}
	return c, nil
}

// begin makes the context that most calls will use, for a model that serves nothing else.
func (e *embedders) begin() (*llama.Context, error) {
	tokens, sequences := e.batch()
	c, err := e.make(ownPooling(e.weights.Info()), tokens, sequences)
	e.first = c
	return c, err
}

func (e *embedders) close() {
	e.mu.Lock()
	e.closed = true
	first := e.first
	e.first = nil
	e.mu.Unlock()
	for _, engine := range e.engines {
		engine.Close()
	}
	if first != nil {
		first.Close()
	}
}

// taskPrefixes are what models, known by a part of their names, were trained to read before a text.
var taskPrefixes = []struct{ name, query, document string }{
	{"e5-mistral", "Instruct: " + searchTask + "\nQuery: ", ""},
	{"e5", "query: ", "passage: "},
	{"nomic-embed", "search_query: ", "search_document: "},
	{"qwen3-embedding", "Instruct: " + searchTask + "\nQuery:", ""},
	{"embeddinggemma", "task: search result | query: ", "title: none | text: "},
	{"snowflake-arctic-embed", "Represent this sentence for searching relevant passages: ", ""},
	{"mxbai-embed", "Represent this sentence for searching relevant passages: ", ""},
	{"bge-m3", "", ""},
	{"bge", "Represent this sentence for searching relevant passages: ", ""},
}

const searchTask = "Given a web search query, retrieve relevant passages that answer the query"

// taskPrefix is what goes before texts for a task; nothing for a model that is not known.
func (m *Model) taskPrefix(op, task string) (string, error) {
	if task != "" && task != "query" && task != "document" {
		return "", invalid(op, fmt.Sprintf("task is %q; use query or document", task))
	}
	name := strings.ReplaceAll(strings.ToLower(m.shared.info.Name), " ", "-")
	for _, known := range taskPrefixes {
		if !strings.Contains(name, known.name) {
			continue
		}
		switch task {
		case "query":
			return known.query, nil
		case "document":
			return known.document, nil
		}
	}
	return "", nil
}

// texts is how many texts are computed together.
func (e *embedders) texts() int {
	if e == nil {
		return 0
	}
	_, sequences := e.batch()
	return sequences
}

// counts sums up what the contexts did.
func (e *embedders) counts() (batches, tokens int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, engine := range e.engines {
		stats := engine.Stats()
		batches += stats.Batches
		tokens += stats.Tokens
	}
	return batches, tokens
}
