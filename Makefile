# The pipeline from images to a report. `make help` lists what there is.
#
# Every stage is called each time and decides by content hashes whether there is work, so
# that file times, touched files and copied folders never fool it. A stage's target is the
# manifest that it writes last.

PIPELINE  ?= sample
RUNS_DIR  ?= runs
CACHE_DIR ?= cache
PYTHON    ?= python3
# Where the pictures are: GTSRB=DIR or DATA=DIR.
DATA      ?= $(GTSRB)
export RUNS_DIR CACHE_DIR

CONFIG    := pipelines/$(PIPELINE).toml
RUN       := $(RUNS_DIR)/$(PIPELINE)
DOWNLOADS := $(CACHE_DIR)/downloads
BIN       := target/release
TOOLS     := sample ingest backbone extract train evaluate
STAGE      = $(BIN)/gtsrb-$(1) --config '$(CONFIG)'

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help build setup $(TOOLS) check test doc oracles clean FORCE

all: evaluate ## images to report: PIPELINE=sample|gtsrb|gtsrb-tutorial|folder

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

# --- What the stages need -------------------------------------------------------------

build: ## compile the binaries
	@cargo build --release --quiet

# A library or weights that are there already are used instead of downloads.
setup: $(if $(ORT_DYLIB_PATH),,$(DOWNLOADS)/onnxruntime) \
       $(if $(BACKBONE_WEIGHTS),,$(DOWNLOADS)/efficientnet-lite0) ## fetch runtime and weights

$(DOWNLOADS)/%:
	@$(PYTHON) setup/fetch.py '$*' '$@'

$(CONFIG):
	@echo "error: there is no $(CONFIG); pipelines are: $(basename $(notdir $(wildcard pipelines/*.toml)))" >&2; exit 66

# --- The stages -----------------------------------------------------------------------

sample:   $(RUN)/data/manifest.json ## draw the sample pipeline's signs
ingest:   $(RUN)/images/manifest.json ## images to Parquet
backbone: $(RUN)/backbone/manifest.json ## weights to backbone.onnx
extract:  $(RUN)/embeddings/manifest.json ## images to cached embeddings
train:    $(RUN)/model/manifest.json ## embeddings to head and classifier.onnx
evaluate: $(RUN)/manifest.json ## head to metrics, predictions and report

$(RUN)/data/manifest.json: FORCE | $(CONFIG) build
	@$(call STAGE,sample)

ifeq ($(PIPELINE),sample)
$(RUN)/images/manifest.json: $(RUN)/data/manifest.json
$(RUN)/images/manifest.json: DATA := $(RUN)/data
endif

$(RUN)/images/manifest.json: FORCE | $(CONFIG) build
	@[ -n '$(DATA)' ] || { $(PYTHON) setup/explain.py '$(PIPELINE)' >&2; exit 66; }
	@$(call STAGE,ingest) --source '$(DATA)'

$(RUN)/backbone/manifest.json: FORCE | $(CONFIG) build setup
	@$(call STAGE,backbone)

$(RUN)/embeddings/manifest.json: $(RUN)/images/manifest.json $(RUN)/backbone/manifest.json FORCE
	@$(call STAGE,extract)

$(RUN)/model/manifest.json: $(RUN)/embeddings/manifest.json FORCE
	@$(call STAGE,train)

$(RUN)/manifest.json: $(RUN)/model/manifest.json FORCE
	@$(call STAGE,evaluate)

# --- Checks ---------------------------------------------------------------------------

VENV := .venv/ready
# Tests keep their own downloads, so that CACHE_DIR may point anywhere.
TEST_DOWNLOADS := cache/downloads

$(VENV): tests/oracles/requirements.txt
	@rm -rf .venv && $(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

check: ## formatting, lints, documentation
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps --quiet

test: build setup $(VENV) $(DOWNLOADS)/foolbox ## every test; GTSRB_MINI=DIR adds those on real frames
	CACHE_DIR='$(abspath $(CACHE_DIR))' \
	ORT_DYLIB_PATH='$(or $(ORT_DYLIB_PATH),$(firstword $(wildcard $(abspath $(DOWNLOADS))/onnxruntime/libonnxruntime.*)))' \
	ORACLE_PYTHON='$(abspath .venv/bin/python)' FOOLBOX_DATA='$(abspath $(DOWNLOADS))/foolbox' \
	BACKBONE_WEIGHTS='$(or $(BACKBONE_WEIGHTS),$(firstword $(wildcard $(abspath $(DOWNLOADS))/efficientnet-lite0/*.pth)))' \
	GTSRB_MINI='$(if $(GTSRB_MINI),$(abspath $(GTSRB_MINI)))' \
	cargo test --release --workspace

oracles: ## remake the committed golden files with PyTorch
	@rm -rf .venv-torch && $(PYTHON) -m venv .venv-torch
	@.venv-torch/bin/pip install --quiet --requirement tests/oracles/requirements-torch.txt
	.venv-torch/bin/python tests/oracles/make_oracles.py

doc: ## this workspace's documentation
	cargo doc --release --workspace --no-deps

clean: ## remove runs; the cache and what was compiled stay
	rm -rf '$(RUNS_DIR)'
