package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// badInput names the first of some errors, of which each is that of one input, as the request does:
// input[3]. The forms of OpenAI and of Ollama have no place for it beside the embeddings of the
// other inputs. It returns nil if there is no error.
func badInput(field string, errs []error) error {
	for i, err := range errs {
		if err == nil {
			continue
		}
		return blame(fmt.Sprintf("%s[%d]", field, i), err)
	}
	return nil
}

// blame says that a part of a request is what an error is about.
func blame(part string, err error) error {
	f := *toFailure(err)
	if own := (*failure)(nil); !errors.As(err, &own) {
		f.cause = err
	}
	if isOfQuery(err) {
		part = "query"
	}
	f.message, f.param = part+": "+f.message, part
	return &f
}

// badQuery says of an error of a ranking that the query is what it is about, if it is.
func badQuery(err error) error {
	if isOfQuery(err) {
		return blame("query", err)
	}
	return err
}

func isOfQuery(err error) bool {
	_, ok := errors.AsType[*mullama.QueryError](err)
	return ok
}

// textErrors are the errors of texts, nil for those that are embedded.
func textErrors(result *mullama.EmbedResult) []error {
	errs := make([]error, len(result.Embeddings))
	for i, e := range result.Embeddings {
		errs[i] = e.Err
	}
	return errs
}

// scoreErrors are those of documents.
func scoreErrors(result *mullama.RerankResult) []error {
	errs := make([]error, len(result.Scores))
	for i, score := range result.Scores {
		errs[i] = score.Err
	}
	return errs
}

// badText is badInput for what is to be embedded, which needs no number where it is no list.
func badText(field string, input json.RawMessage, errs []error) error {
	if len(errs) == 1 && errs[0] != nil && !isList(bytes.TrimSpace(input)) {
		return blame(field, errs[0])
	}
	return badInput(field, errs)
}

// inOllamasWords says of texts that are too long what Ollama says of them.
func inOllamasWords(errs []error, truncate bool) []error {
	words := "the input length exceeds the context length"
	if truncate {
		words = "the input after truncation exceeds maximum context length"
	}
	for i, err := range errs {
		if errors.Is(err, mullama.ErrContextFull) {
			errs[i] = refuse(http.StatusBadRequest, "%s: %v", words, err)
		}
	}
	return errs
}

// appendItemErrors tells a client that asked for it which texts have no embedding, and why.
func appendItemErrors(dst []byte, result *mullama.EmbedResult) ([]byte, error) {
	if result.Err() == nil {
		return dst, nil
	}
	errs := make([]*api.ItemError, len(result.Embeddings))
	for i, e := range result.Embeddings {
		if e.Err != nil {
			f := toFailure(e.Err)
			errs[i] = &api.ItemError{Error: f.message, Kind: f.kind}
		}
	}
	data, err := json.Marshal(errs)
	return append(append(dst, `,"errors":`...), data...), err
}
