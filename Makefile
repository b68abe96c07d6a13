# make build    ./agentsync
# make demo     the main job on the embedded sandbox
# make test     everything that CI runs
# make golden   renews golden files: look at the diff before you commit it
# make fuzz     each fuzz target for FUZZTIME
# make bench    the benchmarks: the table of docs/performance.md first
# make torture  the long versions of the crash and fault tests
# make tidy     whether go.mod and go.sum are tidy; needs the network
SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X agentsync/internal/cli.Version=$(VERSION)'
# The race detector needs a C compiler; without one the tests run without it, and say so.
RACE    := $(shell command -v $${CC:-gcc} >/dev/null 2>&1 && echo -race)

.PHONY: all build demo test check unit golden golden-check fuzz bench torture tidy clean

all: build

build:
	$(GOBUILD) -o agentsync .

demo: build
	@bash testdata/demo.sh ./agentsync

test: check unit golden-check
	@echo "all checks passed"

# What can be told without running the tests.
check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	GOOS=darwin go vet . ./internal/state ./internal/cli
	GOOS=windows go vet . ./internal/state ./internal/cli
	go mod verify >/dev/null
	go run . fmt --check manifests
	go tool actionlint docs/ci/pull-request.yml docs/ci/merge.yml docs/ci/drift.yml
	$(GOBUILD) -o /dev/null .

# A program under the race detector sleeps for a second at its end unless told not to, and the tests start
# the binary a few hundred times.
unit: export GORACE = atexit_sleep_ms=0
unit:
	@test -n "$(RACE)" || echo "no C compiler: testing without the race detector"
	go test $(RACE) -shuffle=on -timeout 8m ./...

# Golden files are what the code writes now: renewing them must change nothing.
golden:
	AGENTSYNC_GOLDEN=1 go test ./... -run 'Golden|Documented|Bad|Script|Traits|JSON|SavedPlan|Progress|Encode|Decode' >/dev/null

golden-check: golden
	@git diff --exit-code -- '*/testdata/*' testdata schema docs README.md || { echo "golden files are behind: review the diff and commit it"; exit 1; }

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	@go list ./... | while read -r pkg; do \
		for target in $$(go test -list '^Fuzz' "$$pkg" | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s "$$pkg" || exit 1; \
		done; \
	done

bench:
	go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./internal/bench
	go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v internal/bench)

torture:
	AGENTSYNC_TORTURE=1 go test -count=1 -timeout 60m -run 'Torture' -v ./...

# Not part of test: it looks at the tests of libraries, which building and testing do not need. That go.mod
# requires what is imported, and nothing else, internal/archtest holds offline.
tidy:
	go mod tidy -diff

clean:
	rm -rf agentsync dist .agentsync
