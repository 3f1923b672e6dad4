// Package modelfile reads and writes Modelfiles, which say what a model is made of:
//
//	# a comment
//	FROM smollm2
//	PARAMETER temperature 0.2
//	SYSTEM """
//	You answer briefly.
//	"""
//
// A Modelfile is a list of commands: a name in any case, for some a key, and a value. A value ends
// with its line unless it begins with " or """, which then end it at the end of a line; there are
// no escapes. All of this is as in Ollama. The commands are Ollama's and those of Mullama.
//
// [Parse] and [File.Format] keep every value byte for byte; [File.Recipe] says what the commands
// mean together. Nothing here looks at files or models.
package modelfile
