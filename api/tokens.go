package api

import (
	"context"
	"net/http"
)

// TokenizeRequest asks for the tokens of a text.
type TokenizeRequest struct {
	Model        string `json:"model"`
	Content      string `json:"content"`
	AddSpecial   bool   `json:"add_special"`   // what the model wants around a text, such as BOS
	ParseSpecial bool   `json:"parse_special"` // texts of control tokens become those
}

// Tokenize returns the tokens of a text.
func (c *Client) Tokenize(ctx context.Context, req *TokenizeRequest) ([]int32, error) {
	var resp struct {
		Tokens []int32 `json:"tokens"`
	}
	err := c.do(ctx, http.MethodPost, "/tokenize", req, &resp)
	return resp.Tokens, err
}

// Detokenize returns the text of tokens. What is not UTF-8 in it is replaced.
func (c *Client) Detokenize(ctx context.Context, model string, tokens []int32) (string, error) {
	if tokens == nil {
		tokens = []int32{}
	}
	req := map[string]any{"model": model, "tokens": tokens}
	var resp struct {
		Content string `json:"content"`
	}
	err := c.do(ctx, http.MethodPost, "/detokenize", req, &resp)
	return resp.Content, err
}
