# The pipeline from images to a report. `make help` lists what there is.
#
# Every stage is called each time and decides by content hashes whether there is work, so
# that file times, touched files and copied folders never fool it.

# Benchmarks are made on real frames, everything else on drawn ones unless told otherwise.
PIPELINE  ?= $(if $(filter bench%,$(MAKECMDGOALS)),gtsrb-linear,sample)
RUNS_DIR  ?= runs
CACHE_DIR ?= cache
PYTHON    ?= python3
# Where the pictures are: GTSRB=DIR or DATA=DIR. Those of GTSRB are fetched otherwise.
DATA      ?= $(GTSRB)
# The sample pipeline draws its own, whatever the environment holds.
ifeq ($(PIPELINE),sample)
IGNORED   := $(filter command,$(origin DATA) $(origin GTSRB))
override DATA := $(RUNS_DIR)/sample/data
endif
ifeq ($(DATA)$(filter-out gtsrb%,$(PIPELINE)),)
override DATA := $(CACHE_DIR)/downloads/gtsrb
FETCHED   := fetch
endif
# DATA reaches the stages by the environment, so that quotes in a path survive.
export RUNS_DIR CACHE_DIR DATA

CONFIG    := pipelines/$(PIPELINE).toml
PIPELINES := $(basename $(notdir $(wildcard pipelines/*.toml)))
DOWNLOADS := $(CACHE_DIR)/downloads
STAGES    := sample ingest backbone extract train evaluate
STAGE      = target/release/gtsrb-$(1) --config '$(CONFIG)'
FETCH      = [ -e '$(DOWNLOADS)/$(1)' ] || $(PYTHON) setup/fetch.py $(1) '$(DOWNLOADS)/$(1)'

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help config source build setup fetch $(STAGES) check test browser gpu-check gpu-found \
    bench bench-build bench-cache bench-extract bench-graphs bench-memory bench-parity bench-precision bench-train \
    oracles doc clean

all: evaluate ## images to report: PIPELINE=sample|gtsrb|gtsrb-best|gtsrb-fast|gtsrb-linear|gtsrb-tutorial|folder

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

# --- What the stages need -------------------------------------------------------------

config:
	@[ -f '$(CONFIG)' ] || { echo "error: there is no $(CONFIG); pipelines are: $(PIPELINES)" >&2; exit 66; }
	@[ -z '$(IGNORED)' ] || { echo "error: the sample pipeline draws its own pictures: add PIPELINE=folder or PIPELINE=gtsrb to read yours" >&2; exit 64; }

source: $(FETCHED)
	@[ -n "$$DATA" ] || { $(PYTHON) setup/explain.py '$(PIPELINE)' >&2; exit 66; }

fetch: config build ## the official archives of GTSRB, verified: MIRROR=URL for another server
	@target/release/gtsrb-fetch --to '$(DOWNLOADS)/gtsrb'$(if $(MIRROR), --mirror '$(MIRROR)')

# The first time takes minutes: cargo shows how far it is.
build: ## compile the binaries
	@cargo build --release $(if $(wildcard target/release/gtsrb-predict),--quiet)

# A library or weights that are there already are used instead of downloads.
setup: ## fetch runtime and weights; DEVICE=cuda fetches the runtime for NVIDIA's GPUs
	@[ -n "$$ORT_DYLIB_PATH" ] || $(call FETCH,onnxruntime$(if $(filter cuda,$(DEVICE)),-gpu))
	@[ -n "$$BACKBONE_WEIGHTS" ] || $(call FETCH,efficientnet-lite0)

.PHONY: doctor
doctor: ## what is missing or wrong on this machine, and its remedy: DEVICE=cuda looks at the GPU, too
	@$(PYTHON) setup/doctor.py $(filter cuda,$(DEVICE))

# --- The stages -----------------------------------------------------------------------

sample: config build ## draw the sample pipeline's signs
	@$(call STAGE,sample)

ingest: config source build $(if $(filter sample,$(PIPELINE)),sample) ## images to Parquet
	@$(call STAGE,ingest) --source "$$DATA"

backbone: config build setup ingest ## weights to backbone.onnx
	@$(call STAGE,backbone)

extract: ingest backbone ## images to cached embeddings
	@$(call STAGE,extract)

train: extract ## embeddings to head and classifier.onnx
	@$(call STAGE,train)

.PHONY: curve shots baselines
curve: train ## accuracy by the number of tracks learned from
	@target/release/gtsrb-train curve --config '$(CONFIG)'

shots: extract ## accuracy by a few pictures a class
	@target/release/gtsrb-train shots --config '$(CONFIG)'

baselines: extract ## nearest neighbours and class means
	@target/release/gtsrb-train baselines --config '$(CONFIG)'

# One extraction of some pictures a backbone and size: every layer comes out of it.
SIZES     ?= 64,96,128
BACKBONES ?= efficientnet-lite0
BUDGET    ?= 9000
.PHONY: probe
probe: extract ## which layers, grids and sizes are best: SIZES=64,96,128 BACKBONES=NAME,FILE BUDGET=9000
	@$(PYTHON) setup/probe.py target/release '$(CONFIG)' '$(RUNS_DIR)/$(PIPELINE)' '$(BACKBONES)' '$(SIZES)' '$(BUDGET)'

evaluate: train ## head to metrics, predictions and report
	@$(call STAGE,evaluate)

.PHONY: demo
demo: evaluate ## a page that classifies pictures in a browser: runs/NAME/demo
	@[ -n "$$ONNXRUNTIME_WEB" ] || $(call FETCH,onnxruntime-web)
	@target/release/gtsrb-predict demo --config '$(CONFIG)'

# --- Checks ---------------------------------------------------------------------------

VENV := .venv/ready

$(VENV): tests/oracles/requirements.txt
	@rm -rf .venv && $(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

check: ## formatting, lints, documentation
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps --quiet

test: build setup $(VENV) ## every test; GTSRB_MINI=DIR adds those on real frames
	@$(call FETCH,foolbox)
	@PYTHON='$(abspath .venv)/bin/python' setup/test-environment '$(DOWNLOADS)' '$(GTSRB_MINI)' \
	    cargo test --release --workspace

.PHONY: test-docs
test-docs: build setup $(VENV) ## the commands of the tutorial and of docs/tools.md, as a reader runs them
	@[ -n "$$ONNXRUNTIME_WEB" ] || [ -e '$(DOWNLOADS)/onnxruntime-web' ] || echo "without onnxruntime-web (make browser) the browser's part is skipped" >&2
	@PYTHON='$(abspath .venv)/bin/python' setup/test-environment '$(DOWNLOADS)' '' \
	    .venv/bin/python tests/documents/run.py docs/tutorial.md docs/tools.md

# PyTorch and TensorFlow fill some GB.
.PHONY: test-backbones
test-backbones: build setup .venv-backbones/ready ## docs/backbones.md: models of PyTorch, timm, Hugging Face and Keras
	@PYTHON='$(abspath .venv-backbones)/bin/python' setup/test-environment '$(DOWNLOADS)' '' \
	    .venv-backbones/bin/python tests/documents/run.py docs/backbones.md

.venv-backbones/ready: tests/documents/requirements-backbones.txt
	@rm -rf .venv-backbones && $(PYTHON) -m venv .venv-backbones
	@.venv-backbones/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PHONY: test-airflow
test-airflow: build setup .venv-airflow/ready ## the sample pipeline in Airflow, killed and retried
	@$(PYTHON) tests/airflow/check.py .venv-airflow/bin/airflow . '$(DOWNLOADS)' '$(RUNS_DIR)/airflow'
	@.venv-airflow/bin/python tests/airflow/pods.py . '$(RUNS_DIR)/airflow/pods'

# For clusters too; one machine needs requirements.txt alone.
.venv-airflow/ready: pipelines/airflow/requirements-cluster.txt pipelines/airflow/requirements.txt
	@rm -rf .venv-airflow && $(PYTHON) -m venv .venv-airflow
	@.venv-airflow/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

STORE := target/store/release/store-with-faults
STORES := STORE_SERVER='$(abspath $(STORE))' MOTO_SERVER='$(abspath .venv-store/bin/moto_server)'
.PHONY: test-store test-distributed
test-distributed: build setup .venv-airflow/ready $(STORE) ## the same on Celery with Redis: two workers, one of which dies
	@command -v redis-server > /dev/null || { echo 'error: test-distributed: there is no redis-server: apt-get install redis-server' >&2; exit 69; }
	@$(PYTHON) tests/airflow/distributed.py .venv-airflow/bin/airflow . '$(DOWNLOADS)' $(STORE) '$(RUNS_DIR)/distributed'

# The store is compiled here alone, outside of the workspace.
$(STORE): $(wildcard tests/store/src/*.rs tests/store/Cargo.*)
	@cargo build --release --quiet --manifest-path tests/store/Cargo.toml --target-dir target/store

test-store: build setup .venv-store/ready $(STORE) ## runs and caches in object stores, among them one that fails on purpose
	@PYTHON='$(PYTHON)' $(STORES) setup/test-environment '$(DOWNLOADS)' '' \
	    cargo test --release --workspace --test stores

.venv-store/ready: tests/store/requirements.txt
	@rm -rf .venv-store && $(PYTHON) -m venv .venv-store
	@.venv-store/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

browser: ## install and fetch what the tests in a browser need: Debian, as root
	@setup/browser
	@$(call FETCH,playwright-core)
	@$(call FETCH,onnxruntime-web)

# Of these, everything can lie on the machine already: see docs/gpu.md.
gpu-check: DEVICE := cuda
gpu-check: gpu-found build setup ingest .venv-gpu/ready ## right and fast on this machine's NVIDIA GPU? PIPELINE=gtsrb-linear GTSRB=DIR
	@cargo build --release --quiet --workspace --examples
	@$(PYTHON) benches/gpu.py '$(RUNS_DIR)/$(PIPELINE)' '$(CONFIG)' '$(DOWNLOADS)' '$(RUNS_DIR)/bench' \
	    --torch .venv-gpu/bin/python

gpu-found:
	@nvidia-smi -L 2>/dev/null | grep -q GPU || { echo "error: gpu-check: this machine has no NVIDIA GPU that nvidia-smi finds" >&2; exit 69; }

.venv-gpu/ready: benches/requirements-gpu.txt
	@rm -rf .venv-gpu && $(PYTHON) -m venv .venv-gpu
	@.venv-gpu/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv-train/ready: benches/requirements-train.txt
	@rm -rf .venv-train && $(PYTHON) -m venv .venv-train
	@.venv-train/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# Whoever isn't there after LIMIT seconds has lost.
bench-train: .venv-train/ready ## training beside scikit-learn, PyTorch and linfa: PIPELINE=gtsrb-linear LIMIT=150
	@cargo build --release --quiet --workspace --example bench-train
	@cargo build --release --quiet --manifest-path benches/linfa/Cargo.toml --target-dir target/linfa
	@.venv-train/bin/python benches/train.py '$(RUNS_DIR)/$(PIPELINE)' \
	    '$(CACHE_DIR)' '$(RUNS_DIR)/bench' target/linfa/release/fit-linfa docs/training.md $(LIMIT)

bench-parity: .venv-train/ready ## where training ends, beside scikit-learn: PIPELINE=gtsrb
	@cargo build --release --quiet --workspace --example bench-train
	@.venv-train/bin/python benches/parity.py '$(RUNS_DIR)/$(PIPELINE)' '$(CACHE_DIR)' \
	    '$(RUNS_DIR)/bench' docs/training.md

# This and the next two write figures of docs/training.md.
.PHONY: bench-curves
bench-curves: ## learning curve, few shots, baselines and penalties: PIPELINE=gtsrb-linear GTSRB=DIR
	@$(MAKE) --no-print-directory evaluate curve shots baselines
	@$(PYTHON) benches/curves.py '$(RUNS_DIR)/$(PIPELINE)' \
	    '$(RUNS_DIR)/bench/curves.json' docs/images docs/training.md

.PHONY: bench-heads
bench-heads: extract ## linear heads, those by mini-batches and with a hidden layer: PIPELINE=gtsrb-linear GTSRB=DIR
	@$(PYTHON) benches/heads.py target/release '$(CONFIG)' '$(RUNS_DIR)/$(PIPELINE)' \
	    '$(RUNS_DIR)/bench/heads.json' docs/training.md

# Runs that are there already count as they are.
ACCURACY := gtsrb-tutorial gtsrb-linear gtsrb-fast gtsrb gtsrb-best
.PHONY: bench-accuracy
bench-accuracy: ## accuracy and seconds of the pipelines on GTSRB: GTSRB=DIR
	@for name in $(ACCURACY); do $(MAKE) --no-print-directory all PIPELINE=$$name || exit; done
	@$(PYTHON) benches/accuracy.py '$(RUNS_DIR)' docs/accuracy.md '$(RUNS_DIR)/bench/accuracy.json' \
	    docs/images/accuracy.svg $(ACCURACY)

.PHONY: bench-probe
bench-probe: probe ## the table of layers in docs/accuracy.md: PIPELINE=gtsrb-linear GTSRB=DIR
	@$(PYTHON) benches/probe.py '$(RUNS_DIR)/$(PIPELINE)' docs/accuracy.md docs/images/probe.svg

# Runs that are there already count as they are; half an hour for those of SEEDS=3.
SEEDS ?= 3
.PHONY: bench-seeds
bench-seeds: ## accuracy with other tracks kept out: GTSRB=DIR SEEDS=3
	@for name in gtsrb-linear gtsrb-fast gtsrb; do $(MAKE) --no-print-directory extract PIPELINE=$$name || exit; done
	@$(PYTHON) benches/seeds.py target/release '$(RUNS_DIR)' '$(RUNS_DIR)/bench' docs/accuracy.md $(SEEDS) \
	    gtsrb-linear gtsrb-fast gtsrb

# Writes 5 GB to $(CACHE_DIR)/bench-stream and removes them again.
.PHONY: bench-stream
bench-stream: ## train on 2,000,000 embeddings in less than 2 GiB of memory
	@cargo build --release --quiet --workspace --example bench-stream
	@$(PYTHON) benches/stream.py target/release/examples/bench-stream '$(CACHE_DIR)/bench-stream' \
	    '$(RUNS_DIR)/bench/stream.json' docs/training.md

# Slow tests too: what they need is said in docs/reliability.md.
.PHONY: torture
torture: build setup $(VENV) .venv-store/ready $(STORE) ## every fault of docs/reliability.md
	@PYTHON='$(abspath .venv)/bin/python' $(STORES) setup/test-environment '$(DOWNLOADS)' '$(GTSRB_MINI)' \
	    $(PYTHON) tests/torture/run.py docs/reliability.md '$(RUNS_DIR)/bench/torture.json' \
	    cargo test --release --workspace

# Tools for developers, pinned and compiled here.
TOOLS := target/tools/bin

$(TOOLS)/cargo-deny: TOOL := cargo-deny@0.20.2
$(TOOLS)/cargo-sbom: TOOL := cargo-sbom@0.10.0
$(TOOLS)/cargo-fuzz: TOOL := cargo-fuzz@0.13.2
$(TOOLS)/mdbook: TOOL := mdbook@0.5.4 --no-default-features --features search
$(TOOLS)/%:
	@cargo install --quiet --locked --root target/tools $(TOOL)

.PHONY: deny sbom
deny: $(TOOLS)/cargo-deny ## licences, sources and known faults of dependencies
	@$< check licenses bans sources
	@if $< fetch db; then $< check advisories; \
	    else echo "the database of advisories can't be had here: they were not checked" >&2; fi

sbom: $(TOOLS)/cargo-sbom ## what the binaries are made of: dist/sbom.json (CycloneDX)
	@mkdir -p dist && $< --output-format cyclone_dx_json_1_6 > dist/sbom.json

# What --version tells is given here alone, so that a commit doesn't change every other build.
.PHONY: dist test-dist
dist: setup ## one folder and archive that run without Rust, Python and make
	@BUILD_COMMIT="$$(git describe --always --dirty --abbrev=12 2> /dev/null)" cargo build --release --quiet
	@$(PYTHON) setup/dist.py dist target/release '$(DOWNLOADS)'

test-dist: dist ## that archive, on a bare system: no other program, no file, no network
	@$(PYTHON) tests/dist/check.py target/release '$(DOWNLOADS)'

.PHONY: book
book: $(TOOLS)/mdbook ## docs/ as a book: book/index.html
	@$< build

SECONDS ?= 60
.PHONY: fuzz
fuzz: $(TOOLS)/cargo-fuzz ## search for bytes that readers can't take: SECONDS=60 for each of them
	@cargo +nightly --version > /dev/null 2>&1 || { echo 'error: fuzz: there is no nightly compiler: rustup toolchain install nightly' >&2; exit 69; }
	@PATH='$(abspath $(TOOLS))':"$$PATH" $(PYTHON) tests/torture/fuzz.py $(SECONDS) tests/torture/seeds \
	    target/fuzz '$(RUNS_DIR)/bench/fuzz.json' \
	    cargo +nightly fuzz run --sanitizer none --target-dir target/fuzz/build

oracles: ## remake the committed golden files with PyTorch
	@rm -rf .venv-torch && $(PYTHON) -m venv .venv-torch
	@.venv-torch/bin/pip install --quiet --requirement tests/oracles/requirements-torch.txt
	.venv-torch/bin/python tests/oracles/make_oracles.py

# --- Benchmarks: on real frames, GTSRB=DIR ----------------------------------------------

BENCH := $(RUNS_DIR)/bench

.venv-bench/ready: benches/requirements-extract.txt
	@rm -rf .venv-bench && $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

bench-build: config source setup
	@cargo build --release --workspace --bins --examples --quiet

# One that misses a goal doesn't keep the others from being measured.
bench: train ## every goal of speed and memory, each beside its peers
	@$(MAKE) --no-print-directory --keep-going bench-extract bench-memory bench-cache bench-precision bench-train

bench-extract: bench-build .venv-bench/ready ## extraction beside ONNX Runtime alone and other libraries
	@.venv-bench/bin/python benches/extract.py "$$DATA" '$(BENCH)'

bench-graphs: bench-build backbone .venv-bench/ready ## what was tried on the backbone's graph
	@.venv-bench/bin/python benches/graphs.py '$(RUNS_DIR)/$(PIPELINE)' '$(BENCH)'

bench-memory: bench-build ingest .venv-bench/ready ## memory of extraction for ever more images
	@.venv-bench/bin/python benches/memory.py '$(RUNS_DIR)/$(PIPELINE)' '$(BENCH)'

bench-cache: bench-build ## what the embedding cache saves
	@$(PYTHON) benches/cache.py '$(CONFIG)' "$$DATA" '$(CACHE_DIR)' '$(BENCH)'

.PHONY: bench-scaling
bench-scaling: ## extraction on many machines, simulated
	@cargo build --release --quiet --workspace --example scaling
	@$(PYTHON) benches/scaling.py target/release/examples/scaling '$(BENCH)/scaling.json'

.PHONY: bench-predict
bench-predict: train ## gtsrb-predict beside extraction: PIPELINE=gtsrb-fast GTSRB=DIR
	@$(PYTHON) benches/predict.py '$(CONFIG)' '$(RUNS_DIR)/$(PIPELINE)' "$$DATA" '$(BENCH)'

.venv-precision/ready: benches/requirements-precision.txt
	@rm -rf .venv-precision && $(PYTHON) -m venv .venv-precision
	@.venv-precision/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

bench-precision: bench-build ingest .venv-precision/ready ## what int8 and f16 cost and save: GTSRB=DIR
	@mkdir -p '$(BENCH)'
	@.venv-precision/bin/python benches/precision.py '$(RUNS_DIR)/$(PIPELINE)' '$(CONFIG)' '$(BENCH)'

doc: ## this workspace's documentation
	cargo doc --release --workspace --no-deps

clean: ## remove runs; the cache and what was compiled stay
	rm -rf '$(RUNS_DIR)'
