import { assertEquals, assertStrictEquals } from "@std/assert";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { writeText } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import type { Level } from "../log.ts";
import { createLog } from "../log.ts";
import { createOutputPipe, ServerOutput, writerToLog } from "./server_output.ts";

const poller = new Poller();

function levelOf(line: string): Level | undefined {
  return line.startsWith("bad") ? "error" : undefined;
}

/** Follows what a test writes. @returns the lines that the journal gets */
async function follow(
  act: (writer: Fd, output: ServerOutput, lines: readonly string[]) => Promise<void>,
): Promise<string[]> {
  const lines: string[] = [];
  await leavesNoDescriptors(async () => {
    // It is done twice, to see that nothing is left.
    lines.length = 0;
    const { reader, writer } = createOutputPipe();
    const output = new ServerOutput(reader, poller, levelOf, (level, line) => {
      lines.push(`${level}: ${line}`);
    });
    await act(writer, output, lines);
    writer.close();
    await until(() => reader.closed);
    await settled(poller);
  });
  return lines;
}

Deno.test("each line has the priority of what it says, however it comes", async () => {
  const lines = await follow(async (writer, _, lines) => {
    for (const part of ["bad th", "ing\n\nanother ", "one\nbad again\n"]) {
      writeText(writer, part);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await until(() => lines.length === 3);
    writeText(writer, "bad end");
  });
  assertEquals(lines, [
    "error: bad thing",
    "info: another one",
    "error: bad again",
    "error: bad end",
  ]);
});

Deno.test("the last words of a server are there as soon as they are asked for", async () => {
  const lines = await follow((writer, output, lines) => {
    writeText(writer, "a\nbad\nb");
    output.drain();
    assertEquals(lines, ["info: a", "error: bad", "info: b"]);
    return Promise.resolve();
  });
  assertStrictEquals(lines.length, 3);
});

Deno.test("a line without an end is written in pieces, and who writes never waits", async () => {
  const text = "x".repeat(1000);
  const lines = await follow((writer, output, lines) => {
    let written = 0;
    try {
      // Nobody reads here, as in a program that is suspended.
      for (;; written += text.length) writeText(writer, text);
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== "EAGAIN") throw error;
    }
    output.drain();
    assertStrictEquals(lines.join("").replaceAll("info: ", "").length >= written, true);
    return Promise.resolve();
  });
  assertStrictEquals(lines.length > 0, true);
});

Deno.test("the last words are the last errors, or the last lines where none is one", async () => {
  await follow((writer, output) => {
    assertEquals(output.words, []);
    writeText(writer, "one\ntwo\n\n  three\nfour\nfive");
    assertEquals(output.words, ["two", "three", "four", "five"]);
    writeText(writer, `bad luck\n${"well\n".repeat(10)}`);
    assertEquals(output.words, ["bad luck"]);
    writeText(writer, "well\n".repeat(1000));
    assertEquals(output.words, Array(4).fill("well"), "of long ago nothing is kept");
    return Promise.resolve();
  });
});

Deno.test("a line in the log says who has written it, to people and to machines", () => {
  const lines: string[] = [];
  for (const asFields of [false, true]) {
    const format = asFields ? "json" : "text";
    const options = { format, level: "info", journal: !asFields } as const;
    const log = createLog(options, (line) => lines.push(line));
    writerToLog({ name: "web", asFields }, 3, log)("warn", "a=b \x1b[1m");
  }
  const [text, json = ""] = lines;
  assertStrictEquals(text, "<4>web generation 3: a=b \\u001b[1m\n");
  const { time: _, ...event } = JSON.parse(json);
  assertEquals(event, { level: "warn", message: "a=b \x1b[1m", server: "web", generation: 3 });
});
