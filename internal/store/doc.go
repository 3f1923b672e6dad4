// Package store reads and writes Ollama's model store on disk, so that both programs can use one
// folder:
//
//	manifests/<host>/<namespace>/<model>/<tag>   JSON: a config and layers, by digest
//	blobs/sha256-<64 hex digits>                 what they name
//
// A [Draft] collects what a model needs and commits it at once. Changes are made under a lock on a
// file in the store's folder; what is not complete keeps a temporary name, so that a program that
// is killed, or a disk that fills up, never leaves a model that names something that is not there.
// The package decides nothing: which models to keep, and what a layer means, is up to its callers.
package store
