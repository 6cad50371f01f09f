#!/usr/bin/env bash
# Makes the packages for arm64 on a machine with another processor, and tries them: what is in them, what lintian
# says, and the program in an emulator, where it binds a port and lends it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/toolchain.sh
# The program that is tested otherwise: these build their own.
unset MULTIBINDER_BIN
need_tools lintian python3 qemu-aarch64-static:qemu-user-static
emulated_root=$(dirname "$(scripts/check/arm64_deno.sh)")/root
work=$(mktemp -d)
binder=''
trap '[[ ! $binder ]] || kill "$binder"; rm -rf "$work"' EXIT

eval "$(scripts/check/newer_toolchain.sh aarch64)"
MULTIBINDER_TARGET=aarch64 scripts/package.sh 1 "$work"
deb=$(echo "$work"/multibinder_*_arm64.deb)
[[ $(dpkg-deb --field "$deb" Architecture) == arm64 ]] || fail "$deb is not for arm64"
lintian --allow-root --fail-on error,warning "$deb"
dpkg-deb --extract "$deb" "$work/root"
tar -xzf "$work"/multibinder-*-linux-arm64.tar.gz -C "$work"
program=$work/root/usr/bin/multibinder
cmp "$program" "$work"/multibinder-*/multibinder

emulated=(qemu-aarch64-static -L "$emulated_root" "$program")
[[ $("${emulated[@]}" --version) == multibinder\ * ]] || fail "the program does not start"
sock=$work/control.sock
port=$(python3 -c 'import socket; one = socket.create_server(("127.0.0.1", 0)); print(one.getsockname()[1])')
"${emulated[@]}" bind --sock "$sock" "127.0.0.1:$port" &
binder=$!
until "${emulated[@]}" status --sock "$sock" >/dev/null 2>&1; do kill -0 "$binder"; done
python3 tests/support/python_client.py serve "$sock" <<<"[{\"address\":\"127.0.0.1\",\"port\":$port}]" &
exec 3<>"/dev/tcp/127.0.0.1/$port"
echo arm64 >&3
[[ $(cat <&3) == "hello arm64" ]] || fail "the socket that it lends does not serve"
kill "$binder"
wait "$binder"
binder=''
