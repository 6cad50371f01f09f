#!/usr/bin/env bash
# Kills, upgrades, reloads and restarts a binder and two wrappers at random under load, and fails on the
# first lost connection, on what leaks and on what is left behind.
#
#   scripts/soak.sh MINUTES [SEED]      the seed of a run is printed; the same one gives the same events
set -euo pipefail
cd "$(dirname "$0")/.."
[[ ${1:-} =~ ^[0-9.]+$ ]] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
. scripts/toolchain.sh
need_tools haproxy
scripts/build.sh

export MULTIBINDER_BIN=$PWD/dist/multibinder NO_COLOR=1
exec "$DENO" run --quiet --no-prompt --allow-all scripts/trials/soak.ts "$@"
