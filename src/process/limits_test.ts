import { assertEquals, assertMatch } from "@std/assert";
import { lackOf } from "./limits.ts";

/** As /proc/PID/limits has them. */
function limits(files: string, processes: string): string {
  return [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    `Max processes             ${processes.padEnd(20)} unlimited            processes `,
    `Max open files            3                    ${files.padEnd(20)} files     `,
    "",
  ].join("\n");
}

Deno.test("limits that are high enough, or cannot be told, are no lack", () => {
  for (const text of ["", limits("64", "16"), limits("unlimited", "unlimited")]) {
    assertEquals(lackOf(() => text, false), undefined);
  }
  assertEquals(lackOf(() => Deno.readTextFileSync("/proc/self/limits"), true), undefined);
  assertEquals(lackOf(() => Deno.readTextFileSync("/proc/self/no such file"), false), undefined);
});

Deno.test("a limit that is too low is named, with what to do", () => {
  const emfile = () => {
    throw new Error("Too many open files (os error 24)");
  };
  const low: [read: () => string, isRoot: boolean, message: RegExp][] = [
    [() => limits("63", "16"), true, /^the limit of open files .* is 63, .* ulimit -n/],
    [() => limits("64", "3"), false, /^the limit of processes .* is 3, .* ulimit -u/],
    [emfile, true, /^the limit of open files .* none is left, .* ulimit -n/],
  ];
  for (const [read, isRoot, message] of low) {
    assertMatch(lackOf(read, isRoot)?.message ?? "", message);
  }
  assertEquals(
    lackOf(() => limits("64", "3"), true),
    undefined,
    "root may have as many as it likes",
  );
});
