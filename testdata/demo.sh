#!/usr/bin/env bash
# The main job on the embedded sandbox: validate, plan, apply, plan again, then an edit and a second apply. It
# works in a folder of its own, which it removes; nothing else is touched and nothing is sent to a platform.
#
#	testdata/demo.sh ./agentsync
set -euo pipefail
absolute() { (CDPATH='' cd "$(dirname "$1")" && printf '%s/%s' "$PWD" "$(basename "$1")"); }
tool=$(absolute "$1")
fleet=$(absolute "$(dirname "$0")/../manifests")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp -r "$fleet" "$dir/manifests"
cd "$dir"
unset "${!AGENTSYNC_@}"           # the caller's settings are not the demo's
export LANGGRAPH_TOKEN=demo-token-of-usual-length # the fleet's one secret; agentsync never prints or stores it

run() {
	printf '\n$ agentsync %s\n' "$*"
	"$tool" "$@"
}

run validate
run plan --sandbox
run apply --sandbox --auto-approve
run state list --state .agentsync/state.json
run plan --sandbox --detailed-exitcode # exits with 2 if anything were left to do

printf '\n$ sed -i "s/one question at a time/at their own pace/" manifests/people.yaml\n'
sed -i.bak 's/one question at a time/at their own pace/' manifests/people.yaml && rm manifests/people.yaml.bak
run apply --sandbox --auto-approve
run plan --sandbox --detailed-exitcode
