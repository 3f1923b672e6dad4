package server

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// blobPath begins the route that takes bodies of any size.
const blobPath = "/api/blobs/"

func (s *Server) ollamaRoutes() []route {
	return []route{
		{"GET /{$}", ollama, s.greet},
		{"GET /api/version", ollama, s.version},
		{"GET /api/status", ollama, s.cloudStatus},
		{"GET /api/tags", ollama, s.listModels},
		{"GET /api/ps", ollama, s.listRunning},
		{"POST /api/show", ollama, s.showModel},
		{"POST /api/copy", ollama, s.copyModel},
		{"DELETE /api/delete", ollama, s.deleteModel},
		{"POST /api/generate", ollama, s.generateText},
		{"POST /api/chat", ollama, s.chatMessages},
		{"POST /api/embed", ollama, s.ollamaEmbed},
		{"POST /api/embeddings", ollama, s.ollamaEmbeddings},
		{"POST /api/pull", ollama, s.pullModel},
		{"POST /api/push", ollama, s.pushModel},
		{"POST /api/create", ollama, s.createModel},
		{"HEAD /api/blobs/{digest}", ollama, s.hasBlob},
		{"POST " + blobPath + "{digest}", ollama, s.addBlob},
	}
}

// greet is what clients look at to see whether Ollama is there.
func (s *Server) greet(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "Ollama is running")
	return nil
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	return encode(w, api.VersionResponse{Version: s.config.Version})
}

// cloudStatus says that there is nothing in any cloud.
func (s *Server) cloudStatus(w http.ResponseWriter, _ *http.Request) error {
	return encode(w, map[string]any{"cloud": map[string]any{"disabled": true, "source": "config"}})
}

// encode sends a whole answer of which there are not many.
func encode(w http.ResponseWriter, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return writeJSON(w, body)
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) error {
	models, err := s.runtime.List()
	if err != nil {
		return err
	}
	list := api.ListResponse{Models: []api.ListedModel{}}
	for i := range models {
		list.Models = append(list.Models, Listed(&models[i]))
	}
	return encode(w, list)
}

// Listed is what the list of models tells of one.
func Listed(m *mullama.StoredModel) api.ListedModel {
	return api.ListedModel{
		Name: m.Name, Model: m.Name, ModifiedAt: m.Modified, Size: m.Size, Digest: m.Digest,
		Details: api.ModelDetails(m.Details), Capabilities: m.Capabilities,
	}
}

// farAway is how long a model stays that stays for ever: clients expect a time.
const farAway = 100 * 365 * 24 * time.Hour

func (s *Server) listRunning(w http.ResponseWriter, _ *http.Request) error {
	list := api.RunningResponse{Models: []api.RunningModel{}}
	for _, m := range s.runtime.Running() {
		expires := m.Expires
		if expires.IsZero() {
			expires = time.Now().Add(farAway)
		}
		list.Models = append(list.Models, api.RunningModel{
			Name: m.Stored.Name, Model: m.Stored.Name, Size: m.Size, Digest: m.Stored.Digest,
			Details: api.ModelDetails(m.Stored.Details), ExpiresAt: expires,
			SizeVRAM: m.SizeVRAM, ContextLength: m.ContextSize,
			Slots: m.Slots, Busy: m.Engine.Active,
			Waiting: m.Waiting + m.Engine.Waiting, Loading: m.Loading, Plan: m.Plan,
			DraftsPaused: m.Engine.DraftsPaused,
		})
	}
	slices.SortStableFunc(list.Models, func(a, b api.RunningModel) int {
		return b.ExpiresAt.Compare(a.ExpiresAt)
	})
	return encode(w, list)
}

func (s *Server) copyModel(w http.ResponseWriter, r *http.Request) error {
	var req api.CopyRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	for _, name := range []string{req.Source, req.Destination} {
		if err := checkName(name); err != nil {
			return err
		}
	}
	if err := s.runtime.Copy(req.Source, req.Destination); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) deleteModel(w http.ResponseWriter, r *http.Request) error {
	var req api.DeleteRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	name := firstOf(req.Model, req.Name)
	if err := checkName(name); err != nil {
		return err
	}
	s.borrowed.forget()
	if err := s.runtime.Delete(name); err != nil {
		return err
	}
	_ = s.runtime.Unload(name) // it may not be loaded
	w.WriteHeader(http.StatusOK)
	return nil
}
