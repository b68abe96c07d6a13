#!/usr/bin/env bash
# Posts a Markdown file as the one comment of its name on the run's pull request: created by the first
# run, updated in place by the others. Only a comment of the token's own login counts, since anyone can
# write one that begins with the marker and edit it afterwards. INPUT_COMMENT_AUTHOR names that login where GitHub
# does not tell it.
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

# find_author leaves the login that the token comments as in $author. The token of a workflow may not read /user.
find_author() {
	author=${INPUT_COMMENT_AUTHOR:-}
	[[ -z $author ]] || return 0
	local url=${GITHUB_GRAPHQL_URL:-${GITHUB_API_URL:-https://api.github.com}/graphql}
	author=$(printf 'header = "authorization: Bearer %s"\n' "${INPUT_TOKEN:-}" |
		curl --config - --silent --max-time 30 --data '{"query": "{viewer{login}}"}' "$url" |
		jq -r '.data.viewer.login // empty' 2>/dev/null) || author=
	author=${author:-github-actions[bot]}
}

# find_comment leaves the comment's id in $id, empty if there is none yet.
find_comment() {
	local page
	id=
	for ((page = 1; page <= 100; page++)); do
		call GET "/issues/$number/comments?per_page=100&page=$page"
		[[ $status == 200 ]] || return 1
		id=$(jq -r --arg marker "$marker" --arg author "$author" \
			'first(.[] | select((.user.login == $author or .user.login == $author + "[bot]") and (.body // "" | startswith($marker))) | .id) // empty' "$tmp/answer")
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

find_author
# Each attempt looks first: an answer that got lost may have been a comment that was made.
for attempt in 1 2 3 4; do
	if find_comment; then
		if [[ -n $id ]]; then
			call PATCH "/issues/comments/$id" "$tmp/body.json"
		else
			call POST "/issues/$number/comments" "$tmp/body.json"
		fi
	fi
	case $status in
	200 | 201)
		if [[ -n $id ]]; then
			echo "updated the comment on pull request $number"
			exit 0
		fi
		echo "commented on pull request $number"
		login=$(jq -r '.user.login // empty' "$tmp/answer" 2>/dev/null) || login=
		case $login in
		"" | "$author" | "${author}[bot]") ;;
		*) say warning "the token comments as $login, so the next run would not find this comment: set comment-author: $login" ;;
		esac
		exit 0
		;;
	401 | 403) grep -qi 'rate limit' "$tmp/answer" || denied ;;
	esac
	sleep "$((${RETRY_DELAY:-2} * attempt))"
done
fail 1 "the comment on pull request $number could not be written (last answer: $status); an older one may stand there"
