package server

import (
	"context"
	"errors"
	"log/slog"

	"github.com/mullama/mullama"
)

// theModel is the name of a request that has one. Otherwise it is the server's own model, or the
// only one there is: llama-server has but one, and its clients do not name it.
func (s *Server) theModel(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	if s.config.Model != "" {
		return s.config.Model, nil
	}
	if running := s.runtime.Running(); len(running) == 1 {
		return running[0].Stored.Name, nil
	}
	models, err := s.runtime.List()
	if err != nil {
		return "", err
	}
	if len(models) == 1 {
		return models[0].Name, nil
	}
	return "", badField("model", "model is required, because there are %d models", len(models))
}

// findAny is find for the routes of OpenAI and llama-server, whose clients may name no model, or
// one of another server: then it is the server's own model. It also returns the name to answer
// with.
func (s *Server) findAny(name string) (*mullama.StoredModel, string, error) {
	name, err := s.theModel(name)
	if err != nil {
		return nil, "", err
	}
	stored, err := s.find(name)
	if err == nil || s.config.Model == "" || name == s.config.Model {
		return stored, name, err
	}
	stored, err = s.find(s.config.Model)
	return stored, s.config.Model, err
}

// Preload loads the server's own model, if it has one. Until then GET /health says that it is not
// ready; requests are answered, as soon as the model is there.
func (s *Server) Preload(ctx context.Context) error {
	if s.config.Model == "" {
		return nil
	}
	s.loading.Store(true)
	defer s.loading.Store(false)
	_, release, err := s.borrow(ctx, s.config.Model)
	if err == nil {
		release()
	}
	return err
}

// templateOf is the chat template for a model in place of the one in its file, or "".
func (s *Server) templateOf(stored *mullama.StoredModel) string {
	if s.config.Template != "" && s.isOwn(stored) {
		return s.config.Template
	}
	return stored.ChatTemplate()
}

// isOwn reports whether a model is the server's own.
func (s *Server) isOwn(stored *mullama.StoredModel) bool {
	if s.config.Model == "" {
		return false
	}
	own, err := s.runtime.Find(s.config.Model)
	return err == nil && own.Name == stored.Name
}

// Tuning are adapters, control vectors and a draft model for the server's own model.
type Tuning struct {
	Adapters       []mullama.Adapter
	ControlVectors []mullama.ControlVector
	ControlLayers  [2]int
	Draft          string
}

func (t *Tuning) isEmpty() bool {
	return len(t.Adapters)+len(t.ControlVectors) == 0 && t.Draft == ""
}

func (t *Tuning) apply(s *settings) {
	s.load.Adapters, s.load.ControlVectors = t.Adapters, t.ControlVectors
	s.load.ControlLayers, s.load.Draft, s.reload = t.ControlLayers, t.Draft, true
}

// CheckOptions reports the first of a server's default options that is unknown or wrong.
func CheckOptions(options map[string]any) error {
	settings := newSettings(mullama.LoadOptions{}, mullama.DefaultSampling())
	for name := range options {
		if optionSetters[name] == nil {
			return errors.New("there is no option " + name)
		}
	}
	if err := settings.apply(options, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	return settings.sampling.Validate()
}
