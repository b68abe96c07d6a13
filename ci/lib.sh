# What the action's scripts share. It is sourced, never run, and works with bash 3.2, which macOS has.
# shellcheck shell=bash

# escape_data TEXT prints TEXT as the data of a workflow command, so that no line of it becomes one.
escape_data() {
	local s=$1
	s=${s//\%/%25}
	s=${s//$'\r'/%0D}
	s=${s//$'\n'/%0A}
	printf '%s' "$s"
}

# say LEVEL TEXT shows TEXT as a notice, a warning or an error of the run.
say() {
	if [[ -n ${GITHUB_ACTIONS:-} ]]; then
		printf '::%s title=agentsync::%s\n' "$1" "$(escape_data "$2")"
	else
		printf 'agentsync: %s: %s\n' "$1" "$2" >&2
	fi
}

# fail CODE TEXT says what is wrong and ends the script.
fail() {
	say error "$2"
	exit "$1"
}

# output NAME VALUE sets an output of the step. A value is one line: what follows would be more outputs.
output() {
	printf '%s=%s\n' "$1" "${2//[$'\r\n']/ }" >>"${GITHUB_OUTPUT:-/dev/null}"
}

# state_path prints the state file's path, relative to the working directory.
state_path() {
	printf '%s' "${INPUT_STATE:-${AGENTSYNC_STATE:-state.json}}"
}

# need COMMAND… fails unless all of them can be run.
need() {
	local command
	for command in "$@"; do
		command -v "$command" >/dev/null || fail 1 "$command is needed and not on PATH; GitHub's own runners have it"
	done
}

# meaning CODE prints what an exit code of agentsync means and what to do.
meaning() {
	case $1 in
	0) printf 'done' ;;
	1) printf 'it failed; the log says why' ;;
	2) printf 'there are changes' ;;
	3) printf 'applied in part: some agents failed or are unknown. What was done is in the state; run it again to finish' ;;
	4) printf 'the manifests, the state file or the arguments are not valid; nothing was sent' ;;
	5) printf 'the saved plan is no longer true; make and review a new one' ;;
	6) printf 'refused by a safety limit: a protected agent, max-deletes, or an unmanaged agent in the way' ;;
	7) printf 'the state is locked by another run' ;;
	8) printf 'the platform refused the API key: is the secret set for this job and environment?' ;;
	130) printf 'interrupted: what was in flight is recorded, and the next apply goes on from there' ;;
	*) printf 'it ended without a result, with exit code %s' "${1:-none}" ;;
	esac
}
