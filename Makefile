# `make help` lists the targets. Everything that is made, except bin/, lives in the cache folder
# $(MULLAMA_CACHE), outside the checkout.

GO ?= go

ifeq ($(shell uname -s),Darwin)
USER_CACHE := $(HOME)/Library/Caches
else
USER_CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)
endif
MULLAMA_CACHE ?= $(USER_CACHE)/mullama
export MULLAMA_CACHE

# Passed to tools/nativebuild, for example NATIVE_FLAGS="--portable". BACKENDS are those of ggml beside
# the CPU's, such as cuda; CUDA_ARCHS the GPUs to build for, such as 90a, instead of all.
NATIVE_FLAGS ?=
BACKENDS     ?=
CUDA_ARCHS   ?=
NATIVE_ALL    = $(NATIVE_FLAGS) $(if $(BACKENDS),--backends "$(BACKENDS)") \
                $(if $(CUDA_ARCHS),--cuda-archs "$(CUDA_ARCHS)")

# How long all tests may take, and one fuzz target.
TEST_TIMEOUT ?= 40m
FUZZ_TIME    ?= 10s

# Tools that come by name and version, once, into the cache folder.
GOLANGCI_VERSION     := v2.15.0
CLANG_FORMAT_VERSION := 19.1.7
GOLANGCI     := $(MULLAMA_CACHE)/tools/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint
CLANG_FORMAT := $(MULLAMA_CACHE)/tools/clang-format-$(CLANG_FORMAT_VERSION)/clang_format/data/bin/clang-format

C_SOURCES   = $(wildcard native/*.h native/*.cpp native/*.c native/oracle/*.h native/oracle/*.c \
              include/*.h include/*.hpp capi/*.h capi/*.c capi/testdata/*.h capi/testdata/*.c \
              capi/testdata/*.cpp bench/callers/*.h bench/callers/*.c bench/callers/*.cpp \
              bindings/cpp/tests/*.hpp bindings/cpp/tests/*.cpp bindings/cpp/tests/*.c \
              bindings/node/src/*.cc bindings/node/src/*.h bindings/python/src/abi/*.[ch] \
              examples/c/*.h examples/c/*.c examples/cpp/*.hpp examples/cpp/*.cpp)
DEMO_MODEL := $(MULLAMA_CACHE)/models/SmolLM2-135M-Instruct.Q4_1.gguf
MODELS     := smollm2 gemma270 qwen05 vocabs templates minilm minilm-q8 minilm-rank minilm-late e5

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: native build ## set everything up, fetch a small model and let it answer a question
	@$(GO) run ./tools/fetchmodels smollm2
	bin/mullama run "$(DEMO_MODEL)" --system "You are a helpful assistant." --temperature 0 -n 64 \
		"What is the capital of France?" < /dev/null

# One package at a time: two programs that compute at once on the same cores slow each other down
# far more than twice.
.PHONY: test
test: native build models oracles ## set everything up and run every test
	$(GO) build -race ./...
	MULLAMA_REQUIRE_MODELS=1 MULLAMA_CONFORMANCE_SUMMARY="$(MULLAMA_CACHE)/conformance.txt" \
		$(GO) test -race -p 1 -timeout $(TEST_TIMEOUT) ./...
	@if [ -f "$(MULLAMA_CACHE)/conformance.txt" ]; then cat "$(MULLAMA_CACHE)/conformance.txt"; fi

.PHONY: native
native: ## build llama.cpp (once per machine) and the library around it
	@$(GO) run ./tools/nativebuild $(NATIVE_ALL)

.PHONY: build
build: ## build bin/mullama and bin/mullama-bench
	$(GO) build -o bin/ ./cmd/...

.PHONY: lib
lib: native ## build bin/lib/libmullama.so, the library of include/mullama.h
	sh capi/build.sh "$(CURDIR)/bin/lib"

.PHONY: test-bindings
test-bindings: lib build ## run the tests and examples of the bindings in all languages
	@$(GO) run ./tools/fetchmodels smollm2 minilm minilm-rank
	sh bindings/test.sh -check "$(CURDIR)/bin/lib"

.PHONY: parity
parity: lib build ## run the bindings' tests and write the table of bindings/README.md
	sh bindings/test.sh "$(CURDIR)/bin/lib"

.PHONY: packages
packages: lib build ## make the packages of all languages in bin/packages
	sh bindings/packages.sh "$(CURDIR)/bin/lib" "$(MULLAMA_CACHE)/native/current/lib" \
		bin/mullama bin/packages

.PHONY: test-packages
test-packages: packages ## install each package into an empty environment and run its quick start
	@$(GO) run ./tools/fetchmodels smollm2
	sh bindings/test-packages.sh bin/packages "$(DEMO_MODEL)"

# Where make install puts things; DESTDIR stands before it while a package is made.
PREFIX  ?= /usr/local
DESTDIR ?=

.PHONY: install
install: lib build ## install program, library and headers into $(DESTDIR)$(PREFIX)
	@sh bindings/cpp/install.sh --lib "$(CURDIR)/bin/lib" --bin "$(CURDIR)/bin/mullama" \
		--native "$(MULLAMA_CACHE)/native/current/lib" --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

.PHONY: models
models: ## fetch the pinned test models, vocabularies and templates (about 1 GB)
	@$(GO) run ./tools/fetchmodels $(MODELS)

.PHONY: oracles
oracles: ## set up the environments of the tests: Jinja2, and clients of the daemon
	@if [ -f conformance/setup.sh ]; then sh conformance/setup.sh; fi

.PHONY: check
check: lint test ## what CI runs: lint and test

.PHONY: lint
lint: $(GOLANGCI) $(CLANG_FORMAT) ## check layout, go vet, golangci-lint and the repository's rules
	$(GO) vet ./...
	$(GOLANGCI) run ./...
	$(if $(C_SOURCES),$(CLANG_FORMAT) --dry-run --Werror $(C_SOURCES))
	$(GO) mod tidy -diff
	$(GO) test -short ./internal/archtest

.PHONY: fmt
fmt: $(CLANG_FORMAT) ## lay out Go, C and C++
	$(GO) fmt ./...
	$(if $(C_SOURCES),$(CLANG_FORMAT) -i $(C_SOURCES))

.PHONY: fuzz
fuzz: ## run every fuzz target for $(FUZZ_TIME)
	@GO="$(GO)" sh tools/fuzz.sh $(FUZZ_TIME)

.PHONY: bench-store
bench-store: native build peers-build ## measure lists of 1,000 models, a pull beside curl, create and quantize
	@$(GO) run ./tools/fetchmodels qwen05
	bin/mullama bench store --quantize "$(MULLAMA_CACHE)/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf" \
		--llama-quantize "$$(echo "$(MULLAMA_CACHE)"/peers/*/build/bin/llama-quantize)" \
		--json bench/results/store-xeon.json

# The groups that bench measures, such as "batch streaming"; none: all.
ONLY ?=

.PHONY: bench
bench: native build ## measure all groups, or those of ONLY=, in full, and report; all take 90 minutes
	@$(GO) run ./tools/fetchmodels smollm2 minilm-q8
	bin/mullama bench $(ONLY) --out bin/bench-report

.PHONY: bench-quick
bench-quick: native build ## take a first look at all groups, made for 15 minutes, and report; needs no GPU
	@$(GO) run ./tools/fetchmodels smollm2 minilm-q8
	bin/mullama bench --quick --out bin/bench-report

CALLERS := $(MULLAMA_CACHE)/callers

.PHONY: callers
callers: lib build ## build the programs of bench-overhead in all languages
	@sh bench/callers/build.sh bin/lib "$(MULLAMA_CACHE)/native/current/lib" "$(CALLERS)"

.PHONY: bench-overhead
bench-overhead: callers ## measure what a call costs in each language
	@$(GO) run ./tools/fetchmodels smollm2
	bin/mullama bench overhead --model "$(DEMO_MODEL)" --callers "$(CALLERS)" \
		--json bench/results/overhead-smollm2.json

.PHONY: crash-test
crash-test: native ## kill a program that changes a model store at 500 random points, twice
	MULLAMA_TEST_CRASHES=500 $(GO) test -count=1 -run 'OutlivesTheEnd|OutlivesABadDisk' -v .

.PHONY: peers-store
peers-store: build ## have Ollama read a store of ours, and us one of its (compiles llama.cpp once)
	$(GO) run ./tools/peers store

.PHONY: peers-ollama
peers-ollama: native build ## run Ollama's own integration tests against the daemon
	@$(GO) run ./tools/fetchmodels qwen05 minilm smollm2
	$(GO) run ./tools/peers ollama

.PHONY: peers-llama
peers-llama: native build oracles ## run llama.cpp's tests of llama-server against the daemon
	@$(GO) run ./tools/fetchmodels smollm2
	$(GO) run ./tools/peers llama

.PHONY: peers-build
peers-build: ## build llama-server and Ollama in the cache, to measure beside ours
	@$(GO) run ./tools/fetchmodels smollm2
	@$(GO) run ./tools/peers build

.PHONY: peers-bindings
peers-bindings: ## set up llama-cpp-python and node-llama-cpp, to measure beside ours (compiles long)
	@sh conformance/setup.sh node-peers bench/callers/peers/node
	@sh conformance/setup.sh venv-llama-cpp-python bench/callers/peers/python/requirements.txt

.PHONY: peers-embedding
peers-embedding: ## set up ONNX Runtime with the weights of MiniLM, to measure beside ours
	@sh conformance/setup.sh venv-embedding bench/callers/requirements.txt

.PHONY: peers-torch
peers-torch: ## set up sentence-transformers, FastEmbed and PyLate, to test and measure beside (5 GB)
	@sh conformance/setup.sh venv-torch bench/callers/requirements-torch.txt
	@sh conformance/setup.sh venv-pylate conformance/pylate/requirements.txt

.PHONY: bench-embedding
bench-embedding: native build peers-build peers-embedding ## measure embeddings beside llama.cpp and others
	@$(GO) run ./tools/fetchmodels minilm minilm-q8
	sh bench/embedding.sh "$(MULLAMA_CACHE)" bench/results

.PHONY: peers-maxsim
peers-maxsim: ## set up NumPy and maxsim-cpu, to measure late interaction beside ours
	@sh conformance/setup.sh venv-maxsim bench/callers/requirements-maxsim.txt

.PHONY: bench-maxsim
bench-maxsim: native build peers-maxsim ## measure late interaction beside NumPy and maxsim-cpu
	bin/mullama bench maxsim --docs 1000,10000,100000 \
		--python "$(MULLAMA_CACHE)/venv-maxsim/bin/python" \
		--torch "$(wildcard $(MULLAMA_CACHE)/venv-torch/bin/python)" --json bench/results/maxsim-xeon.json

.PHONY: count-instructions
count-instructions: ## compare the instructions of hot paths with those in bench/instructions.txt
	$(GO) run ./tools/countinstructions

.PHONY: bench-report
bench-report: ## write the tables and plots of docs/benchmarks.md from bench/results
	rm -f docs/plots/*.svg
	$(GO) run ./cmd/mullama bench report bench/results --out docs/benchmarks.md

# The commit that bench-compare compares what is checked out with.
REF ?=

.PHONY: bench-compare
bench-compare: ## compare the speed of this commit with that of REF=COMMIT
	@$(GO) run ./tools/fetchmodels smollm2
	$(GO) run ./tools/benchcompare -model "$(DEMO_MODEL)" "$(REF)"

.PHONY: test-rpc-netns
test-rpc-netns: native build ## run a model on another machine, in network namespaces; needs root
	@$(GO) run ./tools/fetchmodels smollm2
	$(GO) test -count=1 -v -run NetworkNamespace ./conformance/daemon

.PHONY: docs
docs: build ## write the output of the examples in the documents anew
	$(GO) test ./internal/archtest -run Examples -count=1 -update

.PHONY: clean
clean: ## remove bin/; the cache stays (for its builds: go run ./tools/nativebuild --clean)
	rm -rf bin

$(GOLANGCI):
	@echo "lint: building golangci-lint $(GOLANGCI_VERSION), once; about a minute"
	@GOBIN="$(dir $@)" GOFLAGS= $(GO) install \
		github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

$(CLANG_FORMAT):
	@echo "lint: installing clang-format $(CLANG_FORMAT_VERSION), once"
	@python3 -m pip install --quiet --no-deps --upgrade \
		--target "$(MULLAMA_CACHE)/tools/clang-format-$(CLANG_FORMAT_VERSION)" \
		clang-format==$(CLANG_FORMAT_VERSION)
	@test -x $@
