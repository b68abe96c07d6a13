#!/usr/bin/env bash
# Commits the state file, and nothing else, on top of the branch as it is on the remote now, and pushes.
# It works without touching the work tree or the index, in a shallow clone and on a detached HEAD, and
# takes up again where another push was first. If the state itself changed there meanwhile, the two are
# merged by agentsync, which refuses what contradicts.
#
# Environment: INPUT_WORKING_DIRECTORY, INPUT_STATE, STATE_BRANCH (default: the run's branch),
# STATE_REMOTE (origin), STATE_TOKEN (what the remote takes as a password, if the checkout has no credentials),
# STATE_MESSAGE, RETRY_DELAY (seconds, 2).
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need git agentsync
enter_folder
state=$(state_path)
if is_shared "$state"; then
	echo "the state is in a shared place: nothing to commit"
	exit 0
fi
if [[ -s $state.journal ]]; then
	# A run that was killed: what its journal knows belongs into the state.
	agentsync state fold --state "$state" || say warning "the journal could not be taken into $state"
fi
if [[ ! -f $state ]]; then
	echo "there is no $state: nothing to commit"
	exit 0
fi
# What is pushed is a state and nothing else, whatever stands at its name.
agentsync state list --state "$state" >/dev/null || fail 1 "$state cannot be read as a state: it is not pushed"
file=$(basename "$state")
cd "$(dirname "$state")" # the state may lie in a checkout of its own
path=$(git rev-parse --show-prefix)$file
remote=${STATE_REMOTE:-origin}
branch=${STATE_BRANCH:-${GITHUB_REF_NAME:-${CI_COMMIT_BRANCH:-}}}
[[ -n $branch ]] || branch=$(git symbolic-ref --short HEAD)
git check-ref-format "refs/heads/$branch" || fail 4 "'$branch' is not a branch that the state could be pushed to"

export GIT_AUTHOR_NAME=${GIT_AUTHOR_NAME:-agentsync} GIT_AUTHOR_EMAIL=${GIT_AUTHOR_EMAIL:-agentsync@users.noreply.github.com}
export GIT_COMMITTER_NAME=${GIT_COMMITTER_NAME:-$GIT_AUTHOR_NAME} GIT_COMMITTER_EMAIL=${GIT_COMMITTER_EMAIL:-$GIT_AUTHOR_EMAIL}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if [[ -n ${STATE_TOKEN:-} ]]; then # by a program that git asks: a process list shows the URLs that git is given
	# shellcheck disable=SC2016 # it is expanded when git asks
	printf '#!/bin/sh\nprintf "%%s\\n" "$STATE_TOKEN"\n' >"$tmp/askpass"
	chmod 700 "$tmp/askpass"
	export STATE_TOKEN GIT_ASKPASS=$tmp/askpass GIT_TERMINAL_PROMPT=0
fi
depth=()
[[ $(git rev-parse --is-shallow-repository) != true ]] || depth=(--depth=1) # a whole clone stays whole

# blob COMMIT prints the state file's object in a commit, or nothing.
blob() { git rev-parse --quiet --verify "$1:$path" || true; }

base=$(blob HEAD)
ours=$(git hash-object -w --path "$file" "$file") # --path is seen from here, and applies the filters of .gitattributes
if [[ $ours == "$base" ]]; then
	echo "$path has not changed: nothing to commit"
	exit 0
fi
message=${STATE_MESSAGE:-"agentsync: state after the apply of $(git rev-parse --short HEAD) [skip ci]"}

# merged THEIRS prints the object of the two states in one.
merged() {
	git cat-file --filters --path="$path" "$1" >"$tmp/theirs.json"
	cp "$file" "$tmp/ours.json"
	agentsync state merge "$tmp/ours.json" --state "$tmp/theirs.json" >&2 || return 1
	git hash-object -w --path "$file" "$tmp/theirs.json"
}

for attempt in 1 2 3 4 5 6 7 8 9 10; do
	if git fetch --quiet ${depth[@]+"${depth[@]}"} "$remote" "refs/heads/$branch"; then
		head=$(git rev-parse FETCH_HEAD)
		theirs=$(blob "$head")
		new=$ours
		if [[ $theirs == "$ours" ]]; then
			echo "$path is on $branch already"
			exit 0
		elif [[ $theirs != "$base" && -n $theirs ]]; then
			say warning "$path was changed on $branch while this apply ran: two applies must not run at once"
			new=$(merged "$theirs") || fail 1 "$path on $branch contradicts what this run did; the artefact has this run's state"
		fi
		export GIT_INDEX_FILE=$tmp/index
		git read-tree "$head"
		git update-index --add --cacheinfo "100644,$new,$path"
		tree=$(git write-tree)
		unset GIT_INDEX_FILE
		commit=$(git commit-tree "$tree" -p "$head" -m "$message")
		if git push --quiet "$remote" "$commit:refs/heads/$branch"; then
			echo "$path is committed on $branch as $(git rev-parse --short "$commit")"
			exit 0
		fi
	fi
	echo "attempt $attempt did not get through; trying again"
	sleep "$((${RETRY_DELAY:-2} * attempt))"
done
fail 1 "$path could not be pushed to $branch: may this job's credentials write to it (permissions: contents: write; branch protection)? The artefact has the state"
