package server

import (
	"context"
	"encoding/json"

	"github.com/mullama/mullama"
)

// AddToIndex adds what a request of POST /v1/indexes/{index}/documents has to an index in this
// process. Its model is ignored; embed stands in for it.
func AddToIndex(ctx context.Context, x *mullama.Index, body []byte, embed TokenRows) error {
	var req addToIndexRequest
	if err := unmarshal(orEmpty(body), &req); err != nil {
		return err
	}
	if err := checkDocuments(req.Documents); err != nil {
		return err
	}
	return addToIndex(ctx, x, req.Documents, embed)
}

// SearchIndex answers a request of POST /v1/indexes/{index}/search in the same way, as JSON.
func SearchIndex(
	ctx context.Context, x *mullama.Index, body []byte, embed TokenRows,
) ([]byte, error) {
	var req searchIndexRequest
	if err := unmarshal(orEmpty(body), &req); err != nil {
		return nil, err
	}
	if err := req.check(); err != nil {
		return nil, err
	}
	answer, err := req.answer(ctx, x, embed)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}
