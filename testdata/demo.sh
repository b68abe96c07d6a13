#!/usr/bin/env bash
# The main job on the embedded sandbox, in a folder of its own: validate, plan, apply, plan again, then
# an edit and a second apply. Nothing outside that folder is touched.
set -euo pipefail
tool=$(realpath "$1")
fleet=$(realpath "$(dirname "$0")/../manifests")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp -r "$fleet" "$dir/manifests"
cd "$dir"
export LANGGRAPH_TOKEN=demo-token # the fleet's one secret; agentsync never prints or stores it

run() {
	printf '\n$ agentsync %s\n' "$*"
	"$tool" "$@"
}

run validate
run plan --sandbox
run apply --sandbox --auto-approve
run state list
run plan --sandbox --detailed-exitcode # exits with 2 if anything were left to do

printf '\n$ sed -i "s/one question at a time/at their own pace/" manifests/people.yaml\n'
sed -i.bak 's/one question at a time/at their own pace/' manifests/people.yaml && rm manifests/people.yaml.bak
run apply --sandbox --auto-approve
run plan --sandbox --detailed-exitcode
