# Every command of the project that a person types. `make` lists them.

MAKEFLAGS += --no-print-directory
CARGO ?= cargo
# Where cargo puts what it builds; its own variable is kept.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help build programs demo scenarios scenarios-isolated test lab lab-down test-cluster ci bench calibration fmt lint deny sbom fuzz mutants reproducible envoy chromium screenshots first-screens grpcio \
	report-readers kube-tools clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Run two clusters on this machine, and show who answers
	@tools/install-needs demo
	@$(MAKE) programs envoy
	@$(TARGET_DIR)/debug/localmesh demo

scenarios: build envoy ## Break the mesh in every known way, and show how each is survived
	@$(TARGET_DIR)/release/localmesh run localmesh/scenarios

scenarios-isolated: build envoy ## The same where networks are really apart, and are cut (as root)
	@$(TARGET_DIR)/release/localmesh run localmesh/scenarios/isolated

build: ## Build the programs into target/release
	@$(CARGO) build --release --locked

# Those of the tests, so that the demo and the tests share one build.
programs:
	@$(CARGO) build --workspace --bins --locked

test: ## Run all tests, on real Envoy
	@tools/install-needs test
	@$(MAKE) envoy grpcio kube-tools report-readers
	@$(CARGO) test --workspace --locked --no-fail-fast

lab: ## Bring up two real Kubernetes clusters on this machine, and leave them running (as root)
	@tools/install-cluster
	@$(MAKE) envoy
	@$(CARGO) build --release --locked --workspace --bin echo --bin prober --bin walk
	@tests/cluster/lab up

lab-down: ## End them, and leave nothing
	@tests/cluster/lab down

test-cluster: ## Run the walk on two real clusters with real Istio (as root); KEEP=1 leaves them running
	@tools/install-cluster
	@$(MAKE) envoy programs
	@$(CARGO) test --workspace --locked --features integration-tests/cluster --test cluster

lint: ## Check the form of the code, and clippy's lints
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

deny: ## Check licences, sources, versions and known vulnerabilities of the dependencies
	@tools/check-dependencies

sbom: ## Write what echo and prober are made of into target/sbom, as CycloneDX
	@tools/make-sbom $(TARGET_DIR)/sbom

fuzz: ## Feed each parser with hostile bytes, SECONDS (60) each; SEED (1)
	@SEED=$(SEED) tools/fuzz $(or $(SECONDS),60)

mutants: ## Check that unit tests notice SAMPLE (60) small changes of prober's code; SEED (1)
	@tools/mutants $(or $(SAMPLE),60) $(or $(SEED),1)

reproducible: ## Build echo and prober twice, in other folders, and compare their bytes
	@tools/reproducible

fmt: ## Bring the code into its form
	@$(CARGO) fmt --all

ci: ## Run all that CI runs
	@.ci/run

# As the images are compiled.
bench: export CARGO_PROFILE_RELEASE_LTO := fat
bench: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 1
bench: build envoy ## Measure prober beside its peers, and echo beside nginx
	@tools/install-peers
	@python3 bench/engine.py --bin-dir $(TARGET_DIR)/release --markdown $(TARGET_DIR)/bench.md
	@python3 bench/echo.py --bin-dir $(TARGET_DIR)/release

calibration: ## Measure how often verdicts are wrong, 20,000 runs a case, as a table in Markdown
	@$(CARGO) run --quiet --release --locked -p prober --example calibration

chromium: ## Check that Chromium is there, in which the tests look at reports
	@tools/find-chromium >/dev/null

screenshots: build envoy chromium ## Draw the pictures of reports in docs/ anew
	@tools/make-screenshots $(TARGET_DIR)/release

first-screens: envoy ## Write docs/first-screens.md anew
	@UPDATE_SCREENS=1 $(CARGO) test --quiet --workspace --locked --test integration -- mesh_first_screens

envoy: ## Fetch Envoy, pinned by hash, into .tools (demo and test do it)
	@tools/install-envoy

grpcio: ## Fetch Python's gRPC client, pinned by hash, into .tools (test does it)
	@tools/install-grpcio

report-readers: ## Fetch readers of JUnit XML and of histograms, pinned by hash, into .tools (test does it)
	@tools/install-report-readers

include k8s.mk

kube-tools: ## Fetch kubectl, hadolint and schemas, pinned, into .tools (test does it)
	@tools/install-kube-tools

clean: ## Remove what was built and fetched
	@$(CARGO) clean
	@rm -rf .tools
