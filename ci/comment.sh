#!/usr/bin/env bash
# Posts a Markdown file as the one comment of its name on the run's pull request: created by the first
# run, updated in place by the others. Only a comment of INPUT_COMMENT_AUTHOR counts, since anyone can
# write one that begins with the marker and edit it afterwards.
#
# Environment: COMMENT_PATH, INPUT_MARKER, INPUT_COMMENT_AUTHOR, INPUT_TOKEN, RETRY_DELAY (seconds, 2),
# and of GitHub: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_EVENT_PATH, GITHUB_SERVER_URL, GITHUB_RUN_ID.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need curl jq
event=${GITHUB_EVENT_PATH:?}
number=$(jq -r '.pull_request.number // empty' "$event")
if [[ ! $number =~ ^[0-9]+$ ]]; then
	say notice "this is no run of a pull request: the plan is in the step summary, and there is no comment"
	exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
api=${GITHUB_API_URL:-https://api.github.com}/repos/${GITHUB_REPOSITORY:?}
marker="<!-- agentsync:${INPUT_MARKER:-plan} -->"

# The comment says which commit it is about: one that could not be updated is then seen to be old.
sha=$(jq -r '.pull_request.head.sha // "" | .[:7]' "$event")
{
	cat "${COMMENT_PATH:?}"
	printf '\n<sub>For commit %s, by [this run](%s/%s/actions/runs/%s), which has the whole plan.</sub>\n' \
		"$sha" "${GITHUB_SERVER_URL:-https://github.com}" "$GITHUB_REPOSITORY" "${GITHUB_RUN_ID:-}"
} >"$tmp/body.md"
jq -n --rawfile body "$tmp/body.md" '{body: $body}' >"$tmp/body.json"

# call METHOD PATH [FILE] leaves the answer in $tmp/answer and its status in $status, 000 for none. The
# token goes by stdin: a process list shows arguments.
call() {
	local data=()
	[[ $# -lt 3 ]] || data=(--data-binary "@$3" -H 'content-type: application/json')
	status=$(printf 'header = "authorization: Bearer %s"\n' "${INPUT_TOKEN:-}" |
		curl --config - --silent --show-error --max-time 30 -X "$1" -o "$tmp/answer" -w '%{http_code}' \
			-H 'accept: application/vnd.github+json' -H 'x-github-api-version: 2022-11-28' \
			${data[@]+"${data[@]}"} "$api$2") || status=000
}

# find leaves the comment's id in $id, empty if there is none yet.
find() {
	local page
	id=
	for ((page = 1; page <= 100; page++)); do
		call GET "/issues/$number/comments?per_page=100&page=$page"
		[[ $status == 200 ]] || return 1
		id=$(jq -r --arg marker "$marker" --arg author "${INPUT_COMMENT_AUTHOR:-github-actions[bot]}" \
			'first(.[] | select(.user.login == $author and (.body // "" | startswith($marker))) | .id) // empty' "$tmp/answer")
		[[ -z $id && $(jq length "$tmp/answer") -ge 100 ]] || return 0
	done
}

# denied ends the script where the token may not write: in a run of a fork that is as it should be.
denied() {
	local from
	from=$(jq -r '.pull_request.head.repo.full_name // "a deleted fork"' "$event")
	if [[ $from != "$GITHUB_REPOSITORY" || ${GITHUB_ACTOR:-} == 'dependabot[bot]' ]]; then
		say notice "the token of this run may not write, since the pull request comes from $from: the plan is in the step summary, and there is no comment"
		exit 0
	fi
	fail 1 "the token may not comment: give the job 'permissions: pull-requests: write', or set comment: false"
}

# Each attempt looks first: an answer that got lost may have been a comment that was made.
for attempt in 1 2 3 4; do
	if find; then
		if [[ -n $id ]]; then
			call PATCH "/issues/comments/$id" "$tmp/body.json"
		else
			call POST "/issues/$number/comments" "$tmp/body.json"
		fi
	fi
	case $status in
	200 | 201)
		[[ -z $id ]] && echo "commented on pull request $number" || echo "updated the comment on pull request $number"
		exit 0
		;;
	401 | 403) grep -qi 'rate limit' "$tmp/answer" || denied ;;
	esac
	sleep "$((${RETRY_DELAY:-2} * attempt))"
done
fail 1 "the comment on pull request $number could not be written (last answer: $status); an older one may stand there"
