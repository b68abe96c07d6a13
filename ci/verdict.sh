#!/usr/bin/env bash
# Ends with the exit code of the command, after saying what it means.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

code=${EXIT_CODE:-}
[[ $code != 0 ]] || exit 0
say error "${INPUT_COMMAND:-agentsync}: $(meaning "$code")"
[[ $code =~ ^[0-9]+$ ]] || code=1
exit "$code"
