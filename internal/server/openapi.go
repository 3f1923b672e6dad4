package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// operation is what the description of the API says of a route.
type operation struct {
	summary string
	request any // a value of the type of the body; nil: none
	answer  any // a value of the type of the answer; nil: not described
	stream  string
}

// The types of streams.
const (
	lines  = "application/x-ndjson"
	events = "text/event-stream"
)

// operations describes the routes by their patterns.
var operations = map[string]operation{
	"GET /{$}":         {summary: "Says that the server is there."},
	"GET /api/version": {summary: "The version.", answer: api.VersionResponse{}},
	"GET /api/status":  {summary: "Says that no cloud is used."},
	"GET /api/tags":    {summary: "The models of the store.", answer: api.ListResponse{}},
	"GET /api/ps":      {summary: "The loaded models.", answer: api.RunningResponse{}},
	"POST /api/show": {summary: "What is known of a model.", request: api.ShowRequest{},
		answer: api.ShowResponse{}},
	"POST /api/copy":     {summary: "Gives a model a second name.", request: api.CopyRequest{}},
	"DELETE /api/delete": {summary: "Removes a model.", request: api.DeleteRequest{}},
	"POST /api/generate": {summary: "Continues a prompt.", request: api.GenerateRequest{},
		answer: api.GenerateResponse{}, stream: lines},
	"POST /api/chat": {summary: "Answers a conversation.", request: api.ChatRequest{},
		answer: api.ChatResponse{}, stream: lines},

	"POST /api/embed": {summary: "Embeds texts.", request: api.EmbedRequest{},
		answer: api.EmbedResponse{}},
	"POST /api/embeddings": {summary: "Embeds a text.", request: api.OldEmbeddingRequest{}},
	"POST /v1/embeddings":  {summary: "Embeds texts.", request: embeddingsRequest{}},
	"GET /lora-adapters":   {summary: "The LoRA adapters of a model.", answer: []adapterInfo{}},
	"POST /lora-adapters": {summary: "Sets the scales of a model's LoRA adapters.",
		request: []mullama.AdapterScale{}},
	"POST /embedding": {summary: "Embeds texts, also token by token.",
		request: embeddingsRequest{}},
	"POST /embeddings": {summary: "Embeds texts, also token by token.",
		request: embeddingsRequest{}},
	"POST /v1/rerank": {summary: "Ranks documents.", request: api.RerankRequest{},
		answer: api.RerankResponse{}},
	"POST /v1/reranking": {summary: "Ranks documents.", request: api.RerankRequest{},
		answer: api.RerankResponse{}},
	"POST /rerank": {summary: "Ranks documents.", request: api.RerankRequest{},
		answer: api.RerankResponse{}},
	"POST /reranking": {summary: "Ranks documents.", request: api.RerankRequest{},
		answer: api.RerankResponse{}},
	"POST /api/pull": {summary: "Fetches a model from a registry.", request: api.PullRequest{},
		answer: api.ProgressResponse{}, stream: lines},
	"POST /api/push": {summary: "Sends a model to its registry.", request: api.PushRequest{},
		answer: api.ProgressResponse{}, stream: lines},
	"POST /api/create": {summary: "Makes a model.", request: api.CreateRequest{},
		answer: api.ProgressResponse{}, stream: lines},
	"HEAD /api/blobs/{digest}": {summary: "Whether there is a blob."},
	"POST /api/blobs/{digest}": {summary: "Takes a blob for a model that is made later."},
	"POST /v1/score": {summary: "Scores documents by late interaction.",
		request: api.RerankRequest{}, answer: api.RerankResponse{}},

	"GET /v1/indexes": {summary: "The indexes for late interaction.", answer: indexList{}},
	"POST /v1/indexes": {summary: "Makes an empty index.", request: createIndexRequest{},
		answer: indexInfo{}},
	"GET /v1/indexes/{index}":    {summary: "What is in an index.", answer: indexInfo{}},
	"DELETE /v1/indexes/{index}": {summary: "Removes an index."},
	"POST /v1/indexes/{index}/documents": {summary: "Adds documents to an index.",
		request: addToIndexRequest{}, answer: indexInfo{}},
	"POST /v1/indexes/{index}/search": {summary: "Finds documents of an index.",
		request: searchIndexRequest{}, answer: searchIndexResponse{}},
	"POST /v1/indexes/{index}/verify": {summary: "Reads an index and compares its checksums."},

	"POST /v1/chat/completions": {summary: "Answers a conversation.",
		request: chatCompletionRequest{}, stream: events},
	"POST /v1/completions": {summary: "Continues a prompt.", request: completionRequest{},
		stream: events},
	"GET /v1/models":            {summary: "The models of the store."},
	"GET /v1/models/{model...}": {summary: "A model of the store.", answer: openAIModelInfo{}},

	"GET /health":       {summary: "Whether the server takes requests."},
	"GET /v1/health":    {summary: "Whether the server takes requests."},
	"GET /metrics":      {summary: "Counters and histograms for Prometheus."},
	"GET /openapi.json": {summary: "This description."},
	"GET /ws":           {summary: "A WebSocket for many requests."},
	"GET /ws/try":       {summary: "A page to try the WebSocket."},
	"POST /chat/completions/input_tokens": {summary: "The length of a conversation in tokens.",
		request: chatCompletionRequest{}},
	"POST /v1/chat/completions/input_tokens": {summary: "The length of a conversation in tokens.",
		request: chatCompletionRequest{}},
	"POST /tokenize":       {summary: "The tokens of a text.", request: tokenizeRequest{}},
	"POST /detokenize":     {summary: "The text of tokens.", request: detokenizeRequest{}},
	"POST /apply-template": {summary: "A chat's prompt.", request: chatCompletionRequest{}},
	"POST /completion": {summary: "Continues a prompt.", request: nativeRequest{},
		stream: events},
	"POST /completions": {summary: "Continues a prompt.", request: nativeRequest{},
		stream: events},
	"GET /models": {summary: "The models of the store."},
	"POST /chat/completions": {summary: "Answers a conversation.",
		request: chatCompletionRequest{}, stream: events},
	"GET /props": {summary: "What a model is loaded with."},
	"GET /slots": {summary: "The slots of the loaded models.", answer: []slotInfo{}},
}

// serveOpenAPI answers GET /openapi.json.
func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	body, err := s.openAPI()
	if err != nil {
		return err
	}
	return writeJSON(w, body)
}

// openAPI is made at the first request for it.
func (s *Server) openAPI() ([]byte, error) {
	s.describe.Do(func() { s.described, s.describeErr = json.Marshal(s.describeAPI()) })
	return s.described, s.describeErr
}

// description is that of the API, once somebody has asked for it.
type description struct {
	describe    sync.Once
	described   []byte
	describeErr error
}

func (s *Server) describeAPI() map[string]any {
	paths := map[string]map[string]any{}
	for _, r := range s.routes() {
		o, ok := operations[r.pattern]
		if !ok {
			continue // not in this version
		}
		method, path, _ := strings.Cut(r.pattern, " ")
		path = strings.NewReplacer("{$}", "", "...", "").Replace(path)
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(method)] = o.describe(path)
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Mullama", "version": s.config.Version,
			"description": "Ollama's API, OpenAI's, and the token routes of llama-server.",
		},
		"paths": paths,
		"components": map[string]any{"securitySchemes": map[string]any{
			"key": map[string]any{"type": "http", "scheme": "bearer"},
		}},
		"security": []any{map[string]any{}, map[string]any{"key": []string{}}},
	}
}

func (o *operation) describe(path string) map[string]any {
	ok := map[string]any{"description": "Success."}
	content := map[string]any{}
	if o.answer != nil {
		schema := map[string]any{"schema": schemaOf(o.answer, false)}
		content["application/json"] = schema
		if o.stream == lines {
			content[lines] = schema
		}
	}
	if o.stream == events {
		content[events] = map[string]any{}
	}
	if len(content) > 0 {
		ok["content"] = content
	}
	described := map[string]any{
		"summary": o.summary,
		"responses": map[string]any{
			"200":     ok,
			"default": map[string]any{"description": "An error, with the reason as JSON."},
		},
	}
	if o.request != nil {
		described["requestBody"] = map[string]any{"required": true, "content": map[string]any{
			"application/json": map[string]any{"schema": schemaOf(o.request, true)},
		}}
	}
	for _, name := range []string{"model", "digest"} {
		if strings.Contains(path, "{"+name+"}") {
			described["parameters"] = []any{map[string]any{"name": name, "in": "path",
				"required": true, "schema": map[string]any{"type": "string"}}}
		}
	}
	return described
}

// schemaOf describes the JSON of a type. Of a request no field is required by its type, and fields
// that the server does not know are ignored.
func schemaOf(value any, request bool) *jsonschema.Schema {
	anything := &jsonschema.Schema{}
	schema, err := jsonschema.ForType(reflect.TypeOf(value), &jsonschema.ForOptions{
		IgnoreInvalidTypes: true,
		TypeSchemas: map[reflect.Type]*jsonschema.Schema{
			reflect.TypeFor[json.RawMessage]():    anything,
			reflect.TypeFor[openAIContent]():      anything,
			reflect.TypeFor[api.Duration]():       {Types: []string{"string", "number"}},
			reflect.TypeFor[api.Think]():          {Types: []string{"boolean", "string"}},
			reflect.TypeFor[[]byte]():             {Type: "string", ContentEncoding: "base64"},
			reflect.TypeFor[mullama.VectorKind](): {Type: "string"},
		},
	})
	if err != nil {
		return anything // a test sees to it that this does not happen
	}
	loosen(schema, request)
	if schema.Properties["max_tokens"] == nil {
		return schema
	}
	for _, name := range slices.Sorted(maps.Keys(optionSetters)) { // may stand beside the fields
		if schema.Properties[name] == nil {
			schema.Properties[name] = anything
			schema.PropertyOrder = append(schema.PropertyOrder, name)
		}
	}
	return schema
}

func loosen(s *jsonschema.Schema, request bool) {
	if s == nil {
		return
	}
	if len(s.Properties) > 0 {
		s.AdditionalProperties = nil
	}
	if request {
		s.Required = nil
	}
	for _, property := range s.Properties {
		loosen(property, request)
	}
	loosen(s.Items, request)
}
