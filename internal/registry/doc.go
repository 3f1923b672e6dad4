// Package registry fetches models from registries and sends them there, in Ollama's protocol, which
// is that of container images with keys of its own.
//
// A blob comes in pieces by several requests at once. What has come is written to a file of the
// store with a journal beside it, so that a pull that was killed goes on where it was, and each
// piece is checked again by its hash before it is used. The digest of the whole is computed while
// pieces come. A manifest is written when all its blobs are there and verified, never before.
//
// A [Client] may be used by many goroutines; programs that fetch the same blob take turns.
package registry
