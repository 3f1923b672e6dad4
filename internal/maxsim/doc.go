// Package maxsim finds documents by late interaction, as ColBERT does: each token of a query is
// compared with all tokens of a document, and the score is the sum of the largest products.
//
// An [Index] is a file of token vectors that is mapped into memory. Documents are added at its end
// and never change, so a reader needs no lock: what it has mapped stays as it is while another
// process appends. One writer at a time holds a lock on the file; a write that is interrupted
// leaves no trace but unused bytes. [Index.Search] looks at all documents; after [Index.Train] it
// can look at those alone that are likely to be among the best. docs/late-interaction.md describes
// the file.
//
// All methods of an Index may be called from any goroutine at any time.
package maxsim
