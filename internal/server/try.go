package server

import (
	_ "embed" // for the page
	"net/http"
)

//go:embed try.html
var tryPage []byte

// tryPath is a page that needs no key: it has nothing to tell, and asks for the key itself.
const tryPath = "/ws/try"

// tryPolicy lets the page load nothing from anywhere, and connect only here.
const tryPolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// serveTry answers GET /ws/try.
func (s *Server) serveTry(w http.ResponseWriter, _ *http.Request) error {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", tryPolicy)
	_, _ = w.Write(tryPage)
	return nil
}
