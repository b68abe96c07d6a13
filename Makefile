# make build    ./agentsync
# make demo     the main job on the embedded sandbox
# make demo-team  two checkouts and a state in a store, one killed in the middle
# make test     everything that CI runs
# make lint     golangci-lint; the first time it is built, which takes some minutes of processor time
# make golden   renews golden files: look at the diff before you commit it
# make cover    how much of each package its own tests run, against testdata/coverage.txt
# make fuzz     each fuzz target for FUZZTIME
# make bench    the benchmarks: the table of docs/performance.md first
# make torture  the long versions of the crash and fault tests
# make soak     2,000 agents for ten minutes of edits, faults, kills and takeovers
# make mutants  how many small faults in apply, state, plan and platform their tests notice
# make dist     what a version is published as: make dist VERSION=v0.1.0 (docs/releasing.md)
# make tidy     whether go.mod and go.sum are tidy; needs the network
SHELL   := /bin/bash
# One set of flags for all: what one step compiles is then not compiled again by the next one, nor in another checkout
# of the same code. The race detector alone needs cgo.
export GOFLAGS     := $(strip -trimpath -ldflags=-w $(GOFLAGS))
export CGO_ENABLED := 0
# Go records commit, time and changes of the checkout in the binary by itself.
GOBUILD := go build -trimpath -ldflags '-s -w'
# The race detector needs a C compiler; without one the tests run without it, and say so.
RACE    := $(shell command -v $${CC:-gcc} >/dev/null 2>&1 && echo -race)

.PHONY: all build demo demo-team test check lint unit golden golden-check release-test cover fuzz bench torture soak mutants tidy clean dist dist-test

all: build

build:
	$(GOBUILD) -o agentsync .

demo: build
	@bash testdata/demo.sh ./agentsync

demo-team: build
	@bash testdata/demo-team.sh ./agentsync

# The tests wait for a quarter of their time. What golangci-lint needs, its own build on a new machine above all, fits
# into that.
test: check
	@$(MAKE) --no-print-directory -j2 lint unit
	@$(MAKE) --no-print-directory golden-check release-test
	@echo "all checks passed"

# Packages with files that Linux does not compile: what go vet says of all others it says here. That everything compiles
# for every system, internal/archtest holds. internal/bench is left out: its one such file has one line of code, and
# nearly all packages would have to be compiled for it.
ELSEWHERE := go list -f '{{if .IgnoredGoFiles}}{{.ImportPath}}{{end}}' ./... | grep -v internal/bench

# What can be told without running the tests.
check: build
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	GOOS=darwin go vet $$(GOOS=linux $(ELSEWHERE))
	GOOS=windows go vet $$(GOOS=linux $(ELSEWHERE))
	go mod verify >/dev/null
	./agentsync fmt --check manifests
	@command -v shellcheck >/dev/null && shellcheck -x -P ci $$(git ls-files '*.sh') .ci/run || \
		{ ! command -v shellcheck >/dev/null && test "$(CI)" != true && echo "no shellcheck: the scripts are not checked"; }
	go tool actionlint docs/ci/pull-request.yml docs/ci/merge.yml docs/ci/drift.yml docs/ci/environments/*.yml .github/workflows/*.yml

# A module of its own pins golangci-lint, so that its 200 libraries are none of the tool's. Go keeps what was built, and
# golangci-lint what it found of a package that has not changed since. A second run in another checkout waits.
lint:
	nice -n 19 go tool -modfile=lint/go.mod golangci-lint run --allow-serial-runners ./...

# A program under the race detector sleeps for a second at its end unless told not to, and the tests start
# the binary a few hundred times. Three packages run without it: the scripts start the binary some thousand times, mostly
# for commands of one goroutine (those that are not run with it as well), internal/bench counts what is allocated, and
# internal/archtest reads source in one goroutine.
PLAIN := ./internal/archtest . ./internal/bench
# These wait more than they compute: they begin first, and beside more than there are processors.
FIRST := ./internal/torture ./ci ./internal/docgen
RACED := TestScript/^apply_(first|interrupt|pages|partial|settle_cut|throttle|tty)$$
# go vet was run for all of them: see check.
VETTED := -vet=off
RACETEST := CGO_ENABLED=$(if $(RACE),1,0) go test $(VETTED) $(RACE)
unit: export GORACE = atexit_sleep_ms=0
unit:
	@test -n "$(RACE)" || { echo "no C compiler: testing without the race detector"; test "$(CI)" != true; }
	$(RACETEST) -p 3 -shuffle=on -timeout 10m $(FIRST) $$(go list ./... | grep -vxF "$$(go list $(PLAIN))")
	$(RACETEST) -run '$(RACED)' .
	go test $(VETTED) -shuffle=on -timeout 8m $(PLAIN)

# Golden files are what the code writes now: renewing them must change nothing. The check leaves out the scripts,
# which compare what they print by themselves.
GOLDEN := Golden|Documented|Bad|Script|Traits|JSON|SavedPlan|Progress|Encode|Decode
golden:
	AGENTSYNC_GOLDEN=1 go test $(VETTED) -run '$(GOLDEN)' \
		$$(git grep -l AGENTSYNC_GOLDEN -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's,^,./,') >/dev/null

golden-check: GOLDEN := $(subst Script|,,$(GOLDEN))
golden-check: golden
	@git diff --exit-code -- '*/testdata/*' testdata schema docs README.md || { echo "golden files are behind: review the diff and commit it"; exit 1; }

# Each package's own tests against its floor. Not part of test: the race detector and the counting together cost too
# much, and without it the tests would run twice.
cover:
	@set -o pipefail; out=$$(mktemp) && trap 'rm -f "$$out"' EXIT && \
	go test -cover $$(awk '!/^#/ && NF { print $$1 }' testdata/coverage.txt) | tee "$$out" && \
	awk -f testdata/coverage.awk testdata/coverage.txt "$$out"

# The program that packs releases, for one target; dist-test makes every target, twice.
release-test:
	cd release && go vet ./... && go test -timeout 15m ./...

dist-test: export RELEASE_ALL = 1
dist-test: release-test

dist:
	cd release && go run . -version "$(VERSION)" -out ../dist

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

# SOAK is how long it goes on; some minutes more go by while the last round comes to its end.
SOAK ?= 10m
soak:
	AGENTSYNC_SOAK=$(SOAK) go test -count=1 -timeout 60m -run 'TestSoak' -v ./internal/torture

# ROOMS, SAMPLE (the number of faults in each) and SEED may be given. A hundred in plan take a minute, in apply five.
mutants: ROOMS ?= apply state plan platform
mutants: SAMPLE ?= 100
mutants: SEED ?= 34
mutants:
	AGENTSYNC_MUTANTS="$(ROOMS)" AGENTSYNC_MUTANTS_SAMPLE=$(SAMPLE) \
	AGENTSYNC_MUTANTS_SEED=$(SEED) go test -count=1 -timeout 6h -run TestMutants -v ./internal/mutants

# Not part of test: it looks at the tests of libraries, which building and testing do not need. That go.mod
# requires what is imported, and nothing else, internal/archtest holds offline.
tidy:
	go mod tidy -diff

clean:
	rm -rf agentsync dist .agentsync
