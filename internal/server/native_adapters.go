package server

import (
	"net/http"

	"github.com/mullama/mullama"
)

// adapterInfo is a LoRA adapter of a model as llama-server tells of it.
type adapterInfo struct {
	ID    int     `json:"id"`
	Path  string  `json:"path"` // its name: where files are is not for every client to know
	Scale float32 `json:"scale"`
}

// adapters answers GET /lora-adapters: those of the model of the query, with their scales.
func (s *Server) adapters(w http.ResponseWriter, r *http.Request) error {
	lease, release, err := s.borrow(r.Context(), r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	defer release()
	list := []adapterInfo{}
	for _, a := range lease.Model.Adapters() {
		list = append(list, adapterInfo{a.ID, a.Name, a.Scale})
	}
	return encode(w, list)
}

// setAdapters answers POST /lora-adapters: the scales for requests that do not say them, until the
// model is unloaded.
func (s *Server) setAdapters(w http.ResponseWriter, r *http.Request) error {
	var list []mullama.AdapterScale
	if err := decode(r, &list); err != nil {
		return err
	}
	lease, release, err := s.borrow(r.Context(), r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	defer release()
	if err := lease.Model.SetAdapters(list); err != nil {
		return err
	}
	return encode(w, map[string]bool{"success": true})
}
