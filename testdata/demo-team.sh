#!/usr/bin/env bash
# Two checkouts of one fleet, and the state in a store that both reach: one apply is killed in the middle (kill -9), and the other
# checkout, which knows nothing of it, goes on. The store is versitygw or PostgreSQL, whichever this machine has. It works in
# a folder of its own, which it removes; nothing else is touched and nothing is sent to a platform.
#
#	testdata/demo-team.sh ./agentsync
set -euo pipefail
absolute() { (CDPATH='' cd "$(dirname "$1")" && printf '%s/%s' "$PWD" "$(basename "$1")"); }
tool=$(absolute "$1")
dir=$(mktemp -d /tmp/demo-team.XXXXXX) # a socket's path is short
children=()
finish() {
	[[ -z ${server:-} ]] || as_server "$server/pg_ctl" --pgdata="$dir/pg/data" --mode=immediate stop >/dev/null || true
	((${#children[@]} == 0)) || kill -9 "${children[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT
unset "${!AGENTSYNC_@}" # the caller's settings are not the demo's

# free_port prints a port of this machine at which nobody listens now.
free_port() {
	local port
	for ((port = 20000 + RANDOM % 20000; ; port++)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# answers PORT waits until somebody listens.
answers() {
	local try
	for ((try = 0; try < 300; try++)); do
		! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
		sleep 0.1
	done
	echo "nobody answers at port $1" >&2
	return 1
}

# as_server COMMAND… runs a program of PostgreSQL, which refuses to be root.
as_server() {
	if [[ $(id -u) == 0 ]]; then
		(cd /tmp && setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
	else
		"$@"
	fi
}

gateway=$(command -v versitygw || { [[ ! -x ${GOPATH:-$HOME/go}/bin/versitygw ]] || echo "${GOPATH:-$HOME/go}/bin/versitygw"; })
initdb=$(command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1 || true)
store=${DEMO_STORE:-}
port=$(free_port)
if [[ -n $gateway && $store != postgres ]]; then
	mkdir -p "$dir/s3/fleet"
	ROOT_ACCESS_KEY=demo-key ROOT_SECRET_KEY=demo-secret-of-usual-length "$gateway" --port "127.0.0.1:$port" --quiet posix "$dir/s3" >/dev/null 2>&1 &
	children+=($!)
	answers "$port"
	export AWS_ACCESS_KEY_ID=demo-key AWS_SECRET_ACCESS_KEY=demo-secret-of-usual-length
	export AGENTSYNC_STATE="s3://fleet/prod?region=us-east-1&path-style=true&endpoint=http://127.0.0.1:$port&lease=10s"
elif [[ -n $initdb && $store != s3 ]]; then
	server=$(dirname "$(readlink -f "$initdb")")
	chmod 755 "$dir"
	mkdir "$dir/pg"
	[[ $(id -u) != 0 ]] || chown postgres "$dir/pg"
	as_server "$initdb" --no-sync --auth=trust --username=agentsync --encoding=UTF8 --pgdata="$dir/pg/data" >/dev/null
	as_server "$server/pg_ctl" --pgdata="$dir/pg/data" --wait --log="$dir/pg/log" \
		--options="-c listen_addresses= -c unix_socket_directories=$dir/pg -c port=$port" start >/dev/null
	export AGENTSYNC_STATE="postgres://agentsync@/postgres?host=$dir/pg&port=$port&lease=10s#fleet=prod"
else
	echo "neither a store for the state is here: apt-get install postgresql, or go install github.com/versity/versitygw/cmd/versitygw@v1.8.0" >&2
	exit 1
fi

platform=$(free_port)
"$tool" sandbox --listen "127.0.0.1:$platform" --fault latency=400ms >/dev/null 2>&1 &
children+=($!)
answers "$platform"
export AGENTSYNC_MINDSET_ENDPOINT=http://127.0.0.1:$platform MINDSET_API_KEY=demo

for checkout in ann ben; do
	mkdir -p "$dir/$checkout/manifests"
	{
		printf 'version: 1\nmindset:\n  appUid: acme\n  agents:\n'
		for i in 1 2 3 4 5 6 7 8; do printf '    - {key: coach-%s, agentName: Coach %s}\n' "$i" "$i"; done
	} >"$dir/$checkout/manifests/fleet.yaml"
done

# at CHECKOUT ARGUMENTS… runs agentsync there.
at() {
	local checkout=$1
	shift
	printf '\n%s$ agentsync %s\n' "$checkout" "$*"
	(cd "$dir/$checkout" && "$tool" "$@")
}

at ann state init
printf '\nann$ agentsync apply --auto-approve --parallelism 1 --timeout 5s &   # and then kill -9\n'
(cd "$dir/ann" && exec "$tool" apply --auto-approve --parallelism 1 --timeout 5s) >"$dir/ann.log" 2>&1 &
killed=$!
children+=("$killed")
until grep -q '\[3/8\]' "$dir/ann.log" || ! kill -0 "$killed" 2>/dev/null; do sleep 0.05; done
kill -9 "$killed"
wait "$killed" 2>/dev/null || true
cat "$dir/ann.log"
rm -rf "$dir/ann"
printf "\nann's machine is gone, with its disk. Ben has the manifests and the state's address:\n"
at ben state status || true # 7: it is still held
at ben apply --auto-approve --timeout 5s --settle-timeout 3s --lock-timeout 2m
at ben plan --detailed-exitcode # exits with 2 if anything were left to do
at ben state list
live=$(curl -fsS "http://127.0.0.1:$platform/_sandbox/agents" | grep -o '"uid"' | wc -l) || live=unknown
printf '\n%s agents are live, one for each of the 8 addresses.\n' "$live"
[[ $live == 8 || $live == unknown ]]
