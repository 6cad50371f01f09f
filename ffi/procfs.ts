/**
 * Reading /proc. Deno itself lets only programs with every permission read there, so this goes to libc.
 * @module
 */

import { check } from "./errno.ts";
import { O_CLOEXEC, O_RDONLY } from "./constants.ts";
import { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { cString } from "./memory.ts";

const CHUNK = 64 * 1024;

/** The text of a file in /proc. */
export function readProc(path: string): string {
  const name = cString(path);
  using fd = new Fd(check("open", () => libc().open(name, O_RDONLY | O_CLOEXEC)));
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK);
  let text = "";
  for (;;) {
    const count = check("read", () => libc().read(fd.number, chunk, BigInt(CHUNK)));
    if (count === 0) return text + decoder.decode();
    text += decoder.decode(chunk.subarray(0, count), { stream: true });
  }
}

/** The target of a symbolic link, such as `socket:[12345]` for one in /proc/PID/fd. */
export function readLink(path: string): string {
  const name = cString(path);
  const target = new Uint8Array(4096); // PATH_MAX
  const length = check("readlink", () => libc().readlink(name, target, BigInt(target.length)));
  return new TextDecoder().decode(target.subarray(0, length));
}

/** The names in a directory, without `.` and `..`; none when it cannot be opened. */
export function listDirectory(path: string): string[] {
  const directory = libc().opendir(cString(path));
  if (directory === null) return [];
  const names: string[] = [];
  for (;;) {
    const entry = libc().readdir(directory);
    if (entry === null) break;
    const name = new Deno.UnsafePointerView(entry).getCString(LAYOUT.dirent.d_name);
    if (name !== "." && name !== "..") names.push(name);
  }
  libc().closedir(directory);
  return names;
}
