import assert from "node:assert/strict";
import { leavesNoDescriptors } from "../tests/helpers/descriptors.ts";
import { tempDir } from "../tests/helpers/temp_dir.ts";
import { createMemfd } from "./memfd.ts";
import { listDirectory, readLink, readProc } from "./procfs.ts";

Deno.test("a file of /proc is read to its end, though its size is 0 there", async () => {
  await leavesNoDescriptors(() => {
    assert.match(readProc("/proc/self/status"), new RegExp(`^Pid:\\t${Deno.pid}$`, "m"));
    assert.equal(readProc("/proc/sys/kernel/ostype"), "Linux\n");
  });
});

Deno.test("characters across the edges of the chunks that are read stay whole", () => {
  using dir = tempDir();
  const text = "x" + "€uro".repeat(60_000);
  Deno.writeTextFileSync(dir.file("long"), text);
  assert(readProc(dir.file("long")) === text);
});

Deno.test("a missing file, a folder and a missing link say what is wrong", async () => {
  await leavesNoDescriptors(() => {
    assert.throws(() => readProc("/proc/self/nothing"), { code: "ENOENT", syscall: "open" });
    assert.throws(() => readProc("/proc/self"), { code: "EISDIR", syscall: "read" });
    assert.throws(() => readLink("/proc/self/nothing"), { code: "ENOENT", syscall: "readlink" });
    assert.throws(() => readLink("/proc/self/status"), { code: "EINVAL" });
  });
});

Deno.test("a link's target", () => {
  using fd = createMemfd("test");
  assert.equal(readLink(`/proc/self/fd/${fd.number}`), "/memfd:test (deleted)");
  assert.equal(readLink("/proc/self"), String(Deno.pid));
});

Deno.test("the names in a directory", async () => {
  using dir = tempDir();
  const names = ["a", "ü", "x".repeat(255)];
  names.forEach((name) => Deno.writeTextFileSync(dir.file(name), ""));
  await leavesNoDescriptors(() => {
    assert.deepEqual(listDirectory(dir.path).sort(), names.toSorted());
    assert.deepEqual(listDirectory(dir.file("missing")), []);
    assert.deepEqual(listDirectory(dir.file("a")), []);
  });
});

Deno.test("the descriptors of this process", () => {
  using fd = createMemfd("test");
  assert(listDirectory("/proc/self/fd").includes(String(fd.number)));
});
