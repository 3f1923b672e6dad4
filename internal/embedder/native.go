package embedder

import (
	"errors"
	"fmt"

	"github.com/mullama/mullama/internal/llama"
)

// native is a Model of llama.cpp.
type native struct{ *llama.Context }

// NewNative returns a context for embeddings as a Model, which closes it.
func NewNative(c *llama.Context) Model { return native{c} }

func (n native) Embed(
	tokens, lengths []int32, unseen []bool,
) (rows []float32, width int, err error) {
	out, err := n.Context.Embed(tokens, lengths, unseen)
	if errors.Is(err, llama.ErrCancelled) {
		return nil, 0, fmt.Errorf("%w: %w", ErrCancelled, err)
	}
	return out.Rows, out.Width, err
}
