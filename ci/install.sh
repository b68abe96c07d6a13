#!/usr/bin/env bash
# Makes agentsync available to the steps that follow: from PATH, or built from the action's own source.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

source=${INPUT_BUILD_FROM_SOURCE:-auto}
case $source in auto | true | false) ;; *) fail 4 "build-from-source is '$source'; it must be auto, true or false" ;; esac

if [[ $source != true ]] && command -v agentsync >/dev/null; then
	agentsync version
	exit 0
fi
[[ $source != false ]] || fail 4 "agentsync is not on PATH, and build-from-source is false"
command -v go >/dev/null || fail 4 "neither agentsync nor go is on PATH: add a step with actions/setup-go before this one"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/agentsync-bin.XXXXXX")
# A saved plan is bound to the version that made it: the same ref must give the same version.
version=${ACTION_REF:-dev}
(cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X 'agentsync/internal/cli.Version=${version//\'/}'" -o "$bin/agentsync" .)
printf '%s\n' "$bin" >>"$GITHUB_PATH"
"$bin/agentsync" version
