#!/usr/bin/env bash
# Fuzzes the control socket: scripts/fuzz.sh [CASES, by default 100000]
#
# The server within the test's own process first, then the files that a user names, then the compiled program,
# with as many conversations. A failure prints the seed and the smallest conversation that shows it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
scripts/build.sh
export MULTIBINDER_BIN=$PWD/dist/multibinder MULTIBINDER_FUZZ_CASES=${1:-100000} NO_COLOR=1
exec "$DENO" test --allow-all --no-check src/control/fuzz_test.ts src/cli/fuzz_test.ts tests/binder/fuzz_test.ts
