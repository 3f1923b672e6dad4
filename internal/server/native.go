package server

import (
	"net/http"
)

// nativeRoutes are those of llama-server, and metrics.
func (s *Server) nativeRoutes() []route {
	return []route{
		{"GET /health", ollama, s.health},
		{"GET /v1/health", openAI, s.health},
		{"GET " + metricsPath, ollama, s.serveMetrics},
	}
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	if s.draining.Load() {
		return refuse(http.StatusServiceUnavailable, "the server is shutting down")
	}
	return writeJSON(w, []byte(`{"status":"ok"}`))
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	s.metrics.handler().ServeHTTP(w, r)
	return nil
}
