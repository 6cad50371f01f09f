import { assert, assertStrictEquals } from "@std/assert";
import { leavesNoDescriptors } from "../tests/support/descriptors.ts";
import { libc } from "./libc.ts";
import { writeText } from "./memfd.ts";
import { createPipe } from "./pipe.ts";

Deno.test("what goes in comes out, then the end", async () => {
  await leavesNoDescriptors(() => {
    const { reader, writer } = createPipe();
    assert(reader.closeOnExec && writer.closeOnExec);
    writeText(writer, "hello");
    writer.close();
    const buffer = new Uint8Array(16);
    assertStrictEquals(Number(libc().read(reader.number, buffer, 16n)), 5);
    assertStrictEquals(new TextDecoder().decode(buffer.subarray(0, 5)), "hello");
    assertStrictEquals(Number(libc().read(reader.number, buffer, 16n)), 0);
    reader.close();
  });
});
