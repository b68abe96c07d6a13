#!/usr/bin/env bash
# Posts a Markdown file as the one note of its name on the pipeline's merge request: created by the first
# run, updated in place by the others. Without a file, or where it is empty, it says that the plan failed. Only a note of the
# token's own user counts, since anyone can write one that begins with the marker.
#
# Environment: GITLAB_TOKEN, INPUT_MARKER (plan), RETRY_DELAY (seconds, 2), and of GitLab: CI_API_V4_URL,
# CI_PROJECT_ID, CI_MERGE_REQUEST_IID, CI_COMMIT_SHORT_SHA, CI_JOB_URL.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need curl jq
if [[ -z ${CI_MERGE_REQUEST_IID:-} || -z ${GITLAB_TOKEN:-} ]]; then
	say notice "no merge request or no GITLAB_TOKEN, as in a pipeline of a fork: there is no note"
	exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
marker="<!-- agentsync:${INPUT_MARKER:-plan} -->"
notes=/projects/${CI_PROJECT_ID:?}/merge_requests/$CI_MERGE_REQUEST_IID/notes
{
	if [[ $# -gt 0 && -s $1 ]]; then
		refuse_links "$1"
		cat "$1"
	else
		printf '%s\n### agentsync plan: failed\n\nThere is no plan; the log of the job says why.\n' "$marker"
	fi
	printf '\n<sub>For commit %s, by [this job](%s).</sub>\n' "${CI_COMMIT_SHORT_SHA:-}" "${CI_JOB_URL:-}"
} >"$tmp/body.md"
jq -n --rawfile body "$tmp/body.md" '{body: $body}' >"$tmp/body.json"

# call METHOD PATH [FILE] leaves the answer in $tmp/answer and its status in $status, 000 for none.
call() {
	local data=()
	[[ $# -lt 3 ]] || data=(--data-binary "@$3" -H 'content-type: application/json')
	status=$(printf 'header = "private-token: %s"\n' "$GITLAB_TOKEN" |
		curl --config - --silent --show-error --max-time 30 -X "$1" -o "$tmp/answer" -w '%{http_code}' \
			${data[@]+"${data[@]}"} "${CI_API_V4_URL:?}$2") || status=000
}

# find_note leaves the note's id in $id, empty if there is none yet.
find_note() {
	local page me
	id=
	call GET /user
	[[ $status == 200 ]] || return 1
	me=$(jq -r .id "$tmp/answer")
	for ((page = 1; page <= 100; page++)); do
		call GET "$notes?per_page=100&page=$page"
		[[ $status == 200 ]] || return 1
		id=$(jq -r --arg marker "$marker" --argjson me "$me" \
			'first(.[] | select(.author.id == $me and (.body // "" | startswith($marker))) | .id) // empty' "$tmp/answer")
		[[ -z $id && $(jq length "$tmp/answer") -ge 100 ]] || return 0
	done
}

# Each attempt looks first: an answer that got lost may have been a note that was made.
for attempt in 1 2 3 4; do
	if find_note; then
		if [[ -n $id ]]; then
			call PUT "$notes/$id" "$tmp/body.json"
		else
			call POST "$notes" "$tmp/body.json"
		fi
	fi
	case $status in
	200 | 201) exit 0 ;;
	401 | 403) fail 1 "GITLAB_TOKEN may not write notes: it needs the scope api and the role of a reporter" ;;
	esac
	sleep "$((${RETRY_DELAY:-2} * attempt))"
done
fail 1 "the note on merge request $CI_MERGE_REQUEST_IID could not be written (last answer: $status); an older one may stand there"
