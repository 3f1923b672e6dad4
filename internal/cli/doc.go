// Package cli is the mullama command line.
//
// Every command is a small function over an [Engine], which loads models and answers for them.
// Commands know only this interface; package mullama in this process is behind it. What a command
// needs from the outside (streams, environment, terminal, signals) is read once in [Main] and
// handed down in one struct, so each command runs under test with buffers and a scripted model.
//
// A command runs on one goroutine. The progress bar is the only thing that is called from another.
//
// Exit codes are part of the interface:
//
//	0    done
//	1    something else went wrong
//	2    a flag, an argument or a combination of them is wrong
//	3    a file or model was not found or cannot be opened
//	4    the file is not a model this engine can use
//	5    memory or the context is too small
//	6    the native library is missing or does not fit
//	7    another machine does not answer, or went away
//	130  interrupted
package cli
