#!/usr/bin/env bash
# Prints the path of a Deno for arm64 that runs on this machine, in an emulator; gets what is missing first.
set -euo pipefail
. "$(dirname "$0")/../toolchain.sh"
need_tools qemu-aarch64-static:qemu-user-static

VERSION=2.9.5 # of this architecture, npm has no other
SHA512=IuYjsz9PGl7CJcNXMuN27KNDB8Q40brK3SG3l+TXMDVW61ZKwcn0fQHBHnXFiiygEwI8by/fKnASEluhZB1atw==
folder=$TOOLCHAIN_CACHE/arm64-$VERSION

# Debian's packages for arm64 are looked up with lists of our own: this machine's know nothing of them.
get() {
  local apt=(apt-get -qq -oAPT::Architecture=arm64 -oAPT::Architectures=arm64 -oDir::State::Lists="$PWD/lists"
    -oDir::Cache::pkgcache= -oDir::Cache::srcpkgcache= -oAPT::Sandbox::User=root)
  npm_package "@deno/linux-arm64-glibc@$VERSION" "$SHA512" deno
  chmod 755 deno
  mv deno deno-arm64
  mkdir -p lists/partial
  "${apt[@]}" update && "${apt[@]}" download libc6 libgcc-s1 || fail "apt-get could not get libc6 of arm64"
  local package
  for package in *.deb; do dpkg -x "$package" root; done
  rm -r lists ./*.deb
  # A cache of its own: the other architecture's holds machine code.
  cat >deno <<END
#!/bin/sh
export DENO_DIR='$folder/deno-dir' MULTIBINDER_EMULATED=1
exec qemu-aarch64-static -L '$folder/root' '$folder/deno-arm64' "\$@"
END
  chmod 755 deno
}

if [[ ! -x $folder/deno ]]; then
  work=$(mktemp -d "$TOOLCHAIN_CACHE/download.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && get) >&2
  mv -T "$work" "$folder" 2>/dev/null || [[ -x $folder/deno ]] || fail "cannot make $folder"
fi
echo "$folder/deno"
