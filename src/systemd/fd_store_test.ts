import { assertEquals, assertMatch } from "@std/assert";
import { examineStore, serviceOf } from "./fd_store.ts";

Deno.test("the service of a process is found in its cgroup", () => {
  const cases: [string, string | undefined][] = [
    ["0::/system.slice/multibinder.service\n", "multibinder.service"],
    [
      "0::/system.slice/system-multibinder.slice/multibinder@a.service/sub\n",
      "multibinder@a.service",
    ],
    ["1:name=systemd:/system.slice/multibinder.service\n0::/\n", "multibinder.service"],
    [
      "0::/machine.slice/libpod-1.scope/system.slice/multibinder.service\n",
      "multibinder.service",
    ],
    ["0::/user.slice/user-0.slice/session-1.scope\n", undefined],
    ["0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", undefined],
    ["0::/\n", undefined],
    ["", undefined],
  ];
  for (const [cgroup, unit] of cases) assertEquals(serviceOf(cgroup), unit, cgroup);
});

Deno.test("a store that cannot keep all sockets is a failure", () => {
  const level = (shown: string) => examineStore("a.service", `MainPID=7\n${shown}`, 3, 7)?.level;
  assertEquals(level("FileDescriptorStoreMax=0\n"), "failure");
  assertEquals(level("FileDescriptorStoreMax=2\nFileDescriptorStorePreserve=yes\n"), "failure");
  assertEquals(level("FileDescriptorStoreMax=3\nFileDescriptorStorePreserve=no\n"), "failure");
  assertEquals(level("FileDescriptorStoreMax=3\nFileDescriptorStorePreserve=restart\n"), "ok");
  assertEquals(level("FileDescriptorStoreMax=3\n"), "ok");
  assertEquals(level("Failed to connect to bus: No such file or directory\n"), "unknown");
});

Deno.test("the remedy is a line for the unit", () => {
  const shown = "MainPID=7\nFileDescriptorStoreMax=0\n";
  const remedy = examineStore("a.service", shown, 3, 7)?.remedy;
  assertMatch(
    remedy ?? "",
    /FileDescriptorStoreMax=4096 into the unit \(systemctl edit a\.service\)/,
  );
});

Deno.test("a unit of the same name that another systemd has is nothing to us", () => {
  assertEquals(examineStore("a.service", "MainPID=0\nFileDescriptorStoreMax=0\n", 3, 7), undefined);
});
