package server

import (
	"cmp"
	"net/http"

	"github.com/mullama/mullama"
)

// props answers GET /props: what llama-server tells of its model, for the model of the query.
func (s *Server) props(w http.ResponseWriter, r *http.Request) error {
	lease, release, err := s.borrow(r.Context(), r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	defer release()
	settings, err := s.settings(lease.Stored, mullama.DefaultSampling(), nil)
	if err != nil {
		return err
	}
	m, generate := lease.Model, settings.finish()
	return encode(w, map[string]any{
		"default_generation_settings": map[string]any{
			"n_ctx":  m.ContextSize(),
			"params": generationSettings(&generate),
		},
		"total_slots": m.Slots(),
		"model_alias": lease.Stored.Name,
		"model_path":  lease.Stored.Name, // where files are is not for every client to know
		"chat_template": cmp.Or(s.templateOf(lease.Stored), lease.Stored.Template,
			m.Info().Template),
		"modalities":  map[string]bool{"vision": false, "audio": false},
		"build_info":  "mullama " + s.config.Version,
		"is_sleeping": false,
	})
}

// slotInfo is a slot of a loaded model.
type slotInfo struct {
	ID         int    `json:"id"`
	Model      string `json:"model"`
	Context    int    `json:"n_ctx"`
	Processing bool   `json:"is_processing"`
}

// slots answers GET /slots. With fail_on_no_slot in the query it fails when no slot is free.
func (s *Server) slots(w http.ResponseWriter, r *http.Request) error {
	list, free := []slotInfo{}, 0
	for _, m := range s.runtime.Running() {
		free += max(0, m.Slots-m.Engine.Active)
		for i := range m.Slots {
			list = append(list, slotInfo{
				ID: i, Model: m.Stored.Name, Context: m.ContextSize,
				Processing: i < m.Engine.Active,
			})
		}
	}
	if r.URL.Query().Has("fail_on_no_slot") && free == 0 {
		return refuse(http.StatusServiceUnavailable, "no slot is free")
	}
	return encode(w, list)
}
