// Package api has the wire types of the daemon's Ollama routes and a client for them.
//
// The types are what travels as JSON: a field that a server adds, an older client ignores. A
// [Client] speaks to one daemon, over TCP or a unix socket. Answers that come in parts are
// iterators; leaving the loop, or ending the context, cancels the request on the daemon.
//
// A Client may be used from many goroutines at once.
package api
