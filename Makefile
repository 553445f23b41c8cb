# Every command of the project that a person types. `make` lists them.

MAKEFLAGS += --no-print-directory
CARGO ?= cargo
# Where cargo puts what it builds; its own variable is kept.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help build demo test ci bench fmt lint envoy clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build envoy ## Bring two clusters up on this machine, and show who answers
	@$(TARGET_DIR)/release/localmesh demo

build: ## Build the programs into target/release
	@$(CARGO) build --release --locked

test: envoy ## Run all tests, on real Envoy
	@$(CARGO) test --workspace --locked

lint: ## Check the form of the code, and clippy's lints
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

fmt: ## Bring the code into its form
	@$(CARGO) fmt --all

ci: ## Run all that CI runs
	@.ci/run

bench: build ## Measure prober beside wrk, ab and hey, where they are installed
	@python3 bench/engine.py --bin-dir $(TARGET_DIR)/release

envoy: ## Fetch Envoy, pinned by hash, into .tools (demo and test do it)
	@tools/install-envoy

clean: ## Remove what was built and fetched
	@$(CARGO) clean
	@rm -rf .tools
