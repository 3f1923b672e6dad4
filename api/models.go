package api

import "time"

// ListResponse lists the models of the store, newest first.
type ListResponse struct {
	Models []ListedModel `json:"models"`
}

// ListedModel is a model of the store.
type ListedModel struct {
	Name         string       `json:"name"`
	Model        string       `json:"model"` // the same as Name
	ModifiedAt   time.Time    `json:"modified_at"`
	Size         int64        `json:"size"`
	Digest       string       `json:"digest"`
	Details      ModelDetails `json:"details"`
	Capabilities []string     `json:"capabilities,omitempty"`
}

// ModelDetails say what kind of model one is.
type ModelDetails struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
	ContextLength     int      `json:"context_length,omitempty"`
	EmbeddingLength   int      `json:"embedding_length,omitempty"`
}

// RunningResponse lists the loaded models, those that stay longest first.
type RunningResponse struct {
	Models []RunningModel `json:"models"`
}

// RunningModel is a loaded model.
type RunningModel struct {
	Name          string       `json:"name"`
	Model         string       `json:"model"` // the same as Name
	Size          int64        `json:"size"`
	Digest        string       `json:"digest"`
	Details       ModelDetails `json:"details"`
	ExpiresAt     time.Time    `json:"expires_at"` // far in the future: it stays
	SizeVRAM      int64        `json:"size_vram"`
	ContextLength int          `json:"context_length"`

	// The fields from here on are not Ollama's.

	Slots   int  `json:"slots,omitempty"`   // requests computed at once
	Busy    int  `json:"busy,omitempty"`    // requests being computed
	Waiting int  `json:"waiting,omitempty"` // requests that wait for a slot
	Loading bool `json:"loading,omitempty"` // not ready yet
	// DraftsPaused says that the model answers faster without drafts and so makes none.
	DraftsPaused bool `json:"drafts_paused,omitempty"`

	Plan *Plan `json:"plan,omitempty"` // which devices it is on; absent while it loads
}

// ShowRequest asks what is known of a model.
type ShowRequest struct {
	Model   string         `json:"model"`
	Name    string         `json:"name,omitempty"` // older than Model, the same
	System  string         `json:"system,omitempty"`
	Options map[string]any `json:"options,omitempty"`
	Verbose bool           `json:"verbose,omitempty"` // long metadata and the tensors, too
	Plan    bool           `json:"plan,omitempty"`    // where it would be loaded; not Ollama's
}

// ShowResponse describes a model.
type ShowResponse struct {
	License       string         `json:"license,omitempty"`
	Modelfile     string         `json:"modelfile,omitempty"`
	Parameters    string         `json:"parameters,omitempty"` // a name and a value per line
	Template      string         `json:"template,omitempty"`
	System        string         `json:"system,omitempty"`
	Details       ModelDetails   `json:"details"`
	Messages      []Message      `json:"messages,omitempty"`
	ModelInfo     map[string]any `json:"model_info"` // metadata of the GGUF file
	ProjectorInfo map[string]any `json:"projector_info,omitempty"`
	Tensors       []Tensor       `json:"tensors,omitempty"`
	Capabilities  []string       `json:"capabilities,omitempty"`
	ModifiedAt    time.Time      `json:"modified_at"`
	Renderer      string         `json:"renderer,omitempty"`
	Parser        string         `json:"parser,omitempty"`
	Requires      string         `json:"requires,omitempty"` // version of Ollama
	Plan          *Plan          `json:"plan,omitempty"`     // where it is asked for; not Ollama's
}

// Tensor is one of a model's tensors.
type Tensor struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Shape []uint64 `json:"shape"`
}

// CopyRequest gives a model another name.
type CopyRequest struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// DeleteRequest removes a model from the store.
type DeleteRequest struct {
	Model string `json:"model"`
	Name  string `json:"name,omitempty"` // older than Model, the same
}

// VersionResponse names the daemon's version.
type VersionResponse struct {
	Version string `json:"version"`
}
