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

# escape_property TEXT prints TEXT as a property of a workflow command.
escape_property() {
	local s
	s=$(escape_data "$1")
	s=${s//:/%3A}
	s=${s//,/%2C}
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

# is_link PATH reports whether PATH is a symbolic link, or is reached through one. Git stores links, so whoever opens a
# pull request chooses where one leads. The folders of an absolute path are the machine's own.
is_link() {
	local part=$1
	while :; do
		[[ ! -L $part ]] || return 0
		[[ $part == */* && $part != /* ]] || return 1
		part=${part%/*}
	done
}

# refuse_links PATH… fails where is_link holds of one.
refuse_links() {
	local path
	for path in "$@"; do
		! is_link "$path" || fail 4 "$path is a symbolic link or lies behind one, and nothing is read or written through a link"
	done
}

# enter_folder goes to the working directory, and refuses a state file that is a link.
enter_folder() {
	local folder=${INPUT_WORKING_DIRECTORY:-.} state
	refuse_links "${folder#./}"
	cd "$folder" || fail 4 "there is no folder $folder"
	state=$(state_path)
	is_shared "$state" || refuse_links "$state" "$state.journal" "$state.lock"
}

# state_path prints where the state is: the URL of a shared state, or a file's path relative to the working directory. Without
# the input and AGENTSYNC_STATE it is what agentsync.yaml says, in this folder or above it, up to the repository's own.
state_path() {
	local state=${INPUT_STATE:-${AGENTSYNC_STATE:-}} folder=$PWD
	while [[ -z $state ]]; do
		if [[ -f $folder/agentsync.yaml ]] && ! is_link "$folder/agentsync.yaml"; then
			state=$(sed -n 's/^state:[[:space:]]*//p' "$folder/agentsync.yaml" | sed -e 's/[[:space:]]#.*$//' -e 's/[[:space:]]*$//' -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'\$/\1/" | head -n 1)
			break
		fi
		[[ ! -e $folder/.git && -n $folder ]] || break
		folder=${folder%/*}
	done
	printf '%s' "${state:-state.json}"
}

# is_shared STATE reports whether it is in a store that the runs share: then nothing is committed, and locking is the store's.
is_shared() { [[ $1 == *://* ]]; }

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
	2) printf 'agentsync crashed; the log has what to report, and the next run goes on' ;;
	3) printf 'applied in part: some agents failed or are unknown. What was done is in the state; run it again to finish' ;;
	4) printf 'the manifests, the state file or the arguments are not valid; nothing was sent' ;;
	5) printf 'the saved plan is no longer true; make and review a new one' ;;
	6) printf 'refused by a safety limit: a protected agent, max-deletes, or an unmanaged agent in the way' ;;
	7) printf 'the state is locked by another run' ;;
	8) printf 'the platform refused the API key: is the secret set for this job and environment?' ;;
	130) printf 'interrupted: what was in flight is recorded, and the next apply goes on from there' ;;
	13[0-9] | 14[0-9] | 15[0-9]) printf 'it was ended by signal %s; what was in flight is in the journal, and the next apply goes on from there' "$(($1 - 128))" ;;
	*) printf 'it ended without a result, with exit code %s' "${1:-none}" ;;
	esac
}
