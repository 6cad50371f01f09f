#!/usr/bin/env bash
# Kills, upgrades, reloads and restarts a binder and two wrappers at random under load, and fails on the
# first lost connection, on what leaks and on what is left behind. With --host it is a real systemd with the units
# as shipped, in a container, and an operator who makes mistakes.
#
#   scripts/soak.sh [--host] MINUTES [SEED]   the seed of a run is printed; the same one gives the same events
set -euo pipefail
cd "$(dirname "$0")/.."
trial=soak
[[ ${1:-} != --host ]] || { trial=operator && shift; }
[[ ${1:-} =~ ^[0-9.]+$ ]] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
. scripts/toolchain.sh
need_tools haproxy
[[ $trial != operator ]] || need_tools podman runc debootstrap nsenter:util-linux
scripts/build.sh

export MULTIBINDER_BIN=$PWD/dist/multibinder NO_COLOR=1
exec "$DENO" run --quiet --no-prompt --allow-all "scripts/trials/$trial.ts" "$@"
