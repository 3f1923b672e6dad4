package registry

// HubPrefix begins the names of files on a hub of repositories.
const HubPrefix = "hf:"
