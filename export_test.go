package mullama

// DraftAlways has a model drafted for where that was found not to pay, too.
func DraftAlways(o *LoadOptions) { o.draftAlways = true }
