#!/usr/bin/env bash
# Runs one command of agentsync and says how it went in outputs and files. It ends with 0 even where
# agentsync failed, so that the steps that follow can keep, post and report; verdict.sh fails the job.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/agentsync.XXXXXX")
output dir "$dir"
# finish says how the command ended, or the script itself where that ended first.
finish() {
	local ended=$?
	[[ $ended != 0 ]] || ended=${code:-1}
	output exit-code "$ended"
}
trap finish EXIT
need jq
enter_folder
marker=${INPUT_MARKER:-plan}
[[ $marker =~ ^[A-Za-z0-9._-]+$ && $marker != *--* ]] ||
	fail 4 "marker is '$marker'; it may have letters, digits, and . _ - one at a time"
if [[ -n ${GITHUB_ACTIONS:-} ]]; then
	export CLICOLOR_FORCE=${CLICOLOR_FORCE-1} # the log shows colours, though it is no terminal
fi

# The arguments, all quoted: a line of an input is one argument, whatever it holds.
args=() paths=()

# each_line FUNCTION TEXT calls FUNCTION with each line that is not blank.
each_line() {
	local line
	while IFS= read -r line || [[ -n $line ]]; do
		line=${line%$'\r'}
		[[ $line =~ ^[[:space:]]*$ ]] || "$1" "$line"
	done <<<"$2"
}
add_path() { paths+=("$1"); }
add_target() { args+=("--target=$1"); }
add_extra() { args+=("$1"); }

# add_switch NAME VALUE adds --NAME where VALUE is true.
add_switch() {
	case ${2:-false} in
	true) args+=("--$1") ;;
	false) ;;
	*) fail 4 "$1 is '$2'; it must be true or false" ;;
	esac
}

# run COMMAND… runs it and leaves its exit code in $code. A cancelled job's signals are passed on, so
# that agentsync finishes what is in flight and records it.
run() {
	local pid
	code=0
	"$@" &
	pid=$!
	trap 'kill -TERM "$pid" 2>/dev/null || true' INT TERM
	wait "$pid" || code=$?
	while kill -0 "$pid" 2>/dev/null; do
		code=0
		wait "$pid" || code=$?
	done
	trap - INT TERM
}

# summary FILE shows a Markdown file on the run's page.
summary() {
	[[ ! -s $1 ]] || cat "$1" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
}

validate() {
	# Annotations name files from the root of the repository.
	local prefix=${INPUT_WORKING_DIRECTORY:-.} line
	prefix=${prefix#./}
	prefix=${prefix%/}/
	[[ $prefix != ./ && $prefix != /* ]] || prefix=
	prefix=$(escape_property "$prefix")
	# shellcheck disable=SC2317 # run calls it
	annotate() { agentsync validate --format github "$@" >"$dir/annotations.txt"; }
	run annotate ${args[@]+"${args[@]}"} -- ${paths[@]+"${paths[@]}"}
	while IFS= read -r line; do
		if [[ $line =~ ^(::(error|warning|notice) file=)([^/].*)$ ]]; then
			line=${BASH_REMATCH[1]}$prefix${BASH_REMATCH[3]}
		fi
		printf '%s\n' "$line"
	done <"$dir/annotations.txt"
	agentsync validate --format json ${args[@]+"${args[@]}"} -- ${paths[@]+"${paths[@]}"} >"$dir/diagnostics.json" 2>/dev/null || true
	output report-path "$dir/diagnostics.json"
	if [[ $code != 0 ]]; then
		agentsync validate --format markdown ${args[@]+"${args[@]}"} -- ${paths[@]+"${paths[@]}"} >"$dir/validate.md" 2>/dev/null || true
		summary "$dir/validate.md"
	fi
}

plan() {
	local file=${INPUT_PLAN_FILE:-$dir/plan.bin}
	run agentsync plan --out "$file" --json "$dir/plan.json" --html "$dir/plan.html" \
		--markdown "$dir/plan.md" --comment "$dir/comment.md" --marker "$marker" \
		${args[@]+"${args[@]}"} --detailed-exitcode=false -- ${paths[@]+"${paths[@]}"} # has-changes says it: 2 is a crash
	if [[ $code != 0 ]]; then
		failed_plan
		return
	fi
	summary "$dir/plan.md"
	output plan-path "$file"
	output html-path "$dir/plan.html"
	output report-path "$dir/plan.json"
	output comment-path "$dir/comment.md"
	jq -r '.summary | {create, update, replace, delete, adopt, move, kept}
		| (to_entries[] | "\(.key)=\(.value // 0)"),
		  "has-changes=\(del(.kept) | add > 0)"' "$dir/plan.json" >>"${GITHUB_OUTPUT:-/dev/null}"
}

# failed_plan makes a comment that says so: an older plan must not stand there as if it were true.
failed_plan() {
	rm -f "$dir/plan.bin"
	{
		printf '<!-- agentsync:%s -->\n### agentsync plan: failed\n\n' "$marker"
		printf 'There is no plan: %s.\n\n' "$(meaning "$code")"
		if [[ $code == 4 ]]; then # the problems, without the marker of their own
			agentsync validate --format markdown -- ${paths[@]+"${paths[@]}"} 2>/dev/null | tail -n +2 || true
		fi
	} >"$dir/comment.md"
	summary "$dir/comment.md"
	output comment-path "$dir/comment.md"
}

apply() {
	[[ -z ${INPUT_PLAN_FILE:-} ]] || args+=("--plan=$INPUT_PLAN_FILE")
	[[ -z ${INPUT_MAX_DELETES:-} ]] || args+=("--max-deletes=$INPUT_MAX_DELETES")
	add_switch allow-partial "${INPUT_ALLOW_PARTIAL:-}"
	# shellcheck disable=SC2317 # run calls it
	apply_to() { exec agentsync apply --auto-approve --report "$dir/report.json" --format markdown "$@" >"$dir/apply.md"; }
	run apply_to ${args[@]+"${args[@]}"} -- ${paths[@]+"${paths[@]}"}
	case ${INPUT_STATE_ARTIFACT:-false} in # as a file, for those who want it in git or elsewhere
	true) agentsync state pull "--state=$(state_path)" >"$dir/state.json" || say warning "the state could not be read for the artefact" ;;
	public) agentsync state pull --public "--state=$(state_path)" >"$dir/public.json" || say warning "the state could not be read for the artefact" ;;
	false) ;;
	*) fail 4 "state-artifact is '$INPUT_STATE_ARTIFACT'; it must be true, public or false" ;;
	esac
	summary "$dir/apply.md"
	[[ -s $dir/report.json ]] || return 0
	output report-path "$dir/report.json"
	jq -r '[.results[]?] | map(select(.status == "done")) as $done
		| (("create", "update", "replace", "delete", "adopt", "move", "kept") as $a
		   | "\($a)=\([$done[] | select(.action == $a)] | length)"),
		  "has-changes=\($done | length > 0)",
		  "failed=\(length - ($done | length))"' "$dir/report.json" >>"${GITHUB_OUTPUT:-/dev/null}"
}

each_line add_path "${INPUT_PATHS:-}"
each_line add_extra "${INPUT_EXTRA_ARGS:-}"
command=${INPUT_COMMAND:-}
case $command in
validate) ;;
plan | apply)
	args+=("--state=$(state_path)")
	add_switch prune "${INPUT_PRUNE:-}"
	add_switch refresh "${INPUT_REFRESH:-}"
	each_line add_target "${INPUT_TARGETS:-}"
	;;
*) fail 4 "command is '$command'; it must be validate, plan or apply" ;;
esac
"$command"
