#!/usr/bin/env bash
# Copies what an apply that did not finish left beside the state file into the artefact: the state, the
# journal, and the state that could not be written where it belongs. No uid may go with the machine.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -n ${OUTPUT_DIR:-} ]] || exit 0 # nothing was run
folder=${INPUT_WORKING_DIRECTORY:-.}
refuse_links "${folder#./}"
cd "$folder"
state=$(state_path)
mkdir -p "$OUTPUT_DIR/state"
files=("$state" "$state.journal" "$(dirname "$state")"/errored.state*.json)
back="agentsync state merge"
if is_shared "$state"; then # it has the state and the journal; what could not be written there is in the working directory
	files=(errored.state*.json)
	back="agentsync state push"
fi
for file in "${files[@]}"; do
	if is_link "$file"; then
		say warning "$file is a symbolic link or lies behind one: it is not in the artefact"
	elif [[ -s $file ]]; then
		cp "$file" "$OUTPUT_DIR/state/"
	fi
done
if compgen -G "$OUTPUT_DIR/state/errored.state*.json" >/dev/null; then
	say warning "the state could not be written where it belongs; it is in the artefact: download it, then run $back errored.state.json"
fi
