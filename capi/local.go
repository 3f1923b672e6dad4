package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/server"
)

// local is the engine in this process.
type local struct {
	runtime *mullama.Runtime
	dir     string // of the native engine; "": where it is looked for
}

func openLocal(o *runtimeOptions) (engine, error) {
	runtime, err := mullama.Open(mullama.Options{LibraryDir: o.LibraryDir, ModelsDir: o.ModelsDir})
	if err != nil {
		return nil, err
	}
	return local{runtime, o.LibraryDir}, nil
}

func (l local) info() ([]byte, error) {
	engine := l.runtime.Engine()
	return json.Marshal(map[string]any{
		"version": mullama.Version(), "engine": engine.Version, "system": engine.System,
		"library": engine.Library, "devices": l.runtime.Devices(),
	})
}

func (l local) models() ([]byte, error) {
	list, err := l.runtime.List()
	if err != nil {
		return nil, err
	}
	response := api.ListResponse{Models: []api.ListedModel{}}
	for i := range list {
		response.Models = append(response.Models, server.Listed(&list[i]))
	}
	return json.Marshal(response)
}

func (l local) load(ctx context.Context, name string, o *mullama.LoadOptions) (model, error) {
	path, stored := name, (*mullama.StoredModel)(nil)
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, ".") {
		var err error
		if stored, err = l.runtime.Find(name); err != nil {
			return nil, err
		}
		path = stored.Path
	}
	m, err := l.runtime.Load(ctx, path, o)
	if err != nil {
		return nil, err
	}
	watchExit()
	return localModel{embedding{m}, server.NewLocal(m, stored), new(sync.Once)}, nil
}

func (l local) libraryDir() string { return l.dir }

func (l local) close() error { return l.runtime.Close() }

type localModel struct {
	embedding
	requests *server.Local
	began    *sync.Once // the first part of an answer, or what else is computed
}

func (m localModel) info() ([]byte, error) {
	stats := m.EngineStats()
	return json.Marshal(map[string]any{
		"model": m.Info(), "ctx_size": m.ContextSize(), "slots": m.Slots(),
		"warnings": m.Warnings(), "active": stats.Active, "waiting": stats.Waiting,
	})
}

func (m localModel) appendTokens(
	dst []mullama.Token, text string, o mullama.TokenizeOptions,
) ([]mullama.Token, error) {
	return m.AppendTokens(dst, text, o)
}

func (m localModel) detokenize(tokens []mullama.Token) ([]byte, error) {
	return m.Detokenize(tokens)
}

func (m localModel) render(request []byte) (string, error) { return m.requests.Render(request) }

func (m localModel) chat(request []byte) (answer, error) {
	a, err := m.requests.Chat(context.Background(), request)
	return m.answer(a, err)
}

func (m localModel) generate(request []byte) (answer, error) {
	a, err := m.requests.Generate(context.Background(), request)
	return m.answer(a, err)
}

func (m localModel) embed(request []byte) (*mullama.EmbedResult, error) {
	defer m.began.Do(watchExit)
	return m.embedding.embed(request)
}

func (m localModel) rerank(request []byte) ([]byte, error) {
	defer m.began.Do(watchExit)
	return m.embedding.rerank(request)
}

func (m localModel) score(request []byte) ([]byte, error) {
	defer m.began.Do(watchExit)
	return m.embedding.score(request)
}

func (m localModel) close() error { return m.Close() }

func (m localModel) answer(a *server.Answer, err error) (answer, error) {
	if err != nil {
		return nil, err
	}
	return localAnswer{a, m.began}, nil
}

type localAnswer struct {
	*server.Answer
	began *sync.Once
}

func (a localAnswer) next() (part, error) {
	p, err := a.Next()
	a.began.Do(watchExit)
	return part{p.Text, p.Thinking, p.Tokens, p.JSON, p.Done}, err
}

func (a localAnswer) cancel() { _ = a.Close() }
