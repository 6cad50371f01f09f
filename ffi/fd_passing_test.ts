import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { connectedPair } from "../tests/support/connection.ts";
import { leavesNoDescriptors, openFile } from "../tests/support/descriptors.ts";
import { check } from "./errno.ts";
import { RLIMIT_NOFILE, SCM_MAX_FD } from "./constants.ts";
import { Fd } from "./fd.ts";
import { receiveBytes, receiveMessage, sendMessage } from "./fd_passing.ts";
import { libc } from "./libc.ts";
import { createMemfd } from "./memfd.ts";
import { fdLimit } from "./rlimit.ts";

/** Runs `action` with both ends of a connection and `count` files, in order of their names. */
function withFiles(count: number, action: (near: Fd, far: Fd, files: Fd[]) => void): void {
  const [near, far] = connectedPair();
  const files = Array.from({ length: count }, (_, index) => createMemfd(`file-${index}`));
  try {
    action(near, far, files);
  } finally {
    [near, far, ...files].forEach((fd) => fd.close());
  }
}

/** The files that descriptors are open on; closes them. */
function namesOf(fds: readonly Fd[]): string[] {
  return fds.map((fd) => {
    using closing = fd;
    assertStrictEquals(closing.closeOnExec, true);
    return openFile(closing);
  });
}

const bytesOf = (text: string) => new Uint8Array(new TextEncoder().encode(text));

Deno.test("0, 1, 2 and 253 descriptors arrive in order, with the bytes", async () => {
  await leavesNoDescriptors(() =>
    withFiles(SCM_MAX_FD, (near, far, files) => {
      const buffer = new Uint8Array(100);
      for (const count of [0, 1, 2, SCM_MAX_FD, 0]) {
        const sent = files.slice(0, count);
        assertStrictEquals(sendMessage(near, bytesOf("hello"), sent), 5);
        const received = receiveMessage(far, buffer);
        assert(received !== undefined);
        assertEquals(buffer.slice(0, received.length), bytesOf("hello"));
        assertStrictEquals(received.truncated, false);
        assertEquals(namesOf(received.fds), sent.map(openFile));
      }
    })
  );
});

Deno.test("more than 253 descriptors are refused, and nothing is sent", () => {
  withFiles(1, (near, far, [file]) => {
    assert(file !== undefined);
    for (const count of [254, 255, 1000]) {
      assertObjectMatch(
        assertThrows(() => sendMessage(near, bytesOf("x"), Array(count).fill(file)), RangeError),
        { message: `${count} descriptors, at most 253 fit in a message` },
      );
    }
    assertStrictEquals(receiveMessage(far, new Uint8Array(10)), undefined);
    assertStrictEquals(sendMessage(near, bytesOf("x")), 1);
    assertStrictEquals(receiveMessage(far, new Uint8Array(10))?.length, 1);
  });
});

Deno.test("a closed descriptor is not sent", () => {
  withFiles(1, (near, far, [file]) => {
    assert(file !== undefined);
    file.close();
    assertThrows(() => sendMessage(near, bytesOf("x"), [file]), Error, /after it was closed/);
    assertObjectMatch(
      assertThrows(() => sendMessage(near, bytesOf("x"), [new Fd(1_000_000)]), Error),
      { code: "EBADF" },
    );
    assertStrictEquals(receiveMessage(far, new Uint8Array(10)), undefined);
  });
});

Deno.test("however it is read, descriptors come in order and with the first byte of theirs", async () => {
  const messages = fc.array(
    fc.record({ length: fc.integer({ min: 1, max: 20 }), fds: fc.integer({ min: 0, max: 5 }) }),
    { minLength: 1, maxLength: 8 },
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 });
  await leavesNoDescriptors(() =>
    fc.assert(
      fc.property(messages, sizes, (messages, sizes) =>
        withFiles(40, (near, far, files) => {
          const expected: { byte: number; names: string[] }[] = [];
          let total = 0;
          let next = 0;
          for (const { length, fds } of messages) {
            const sent = files.slice(next, next += fds);
            const bytes = Uint8Array.from({ length }, (_, index) => total + index);
            assertStrictEquals(sendMessage(near, bytes, sent), length);
            if (fds > 0) expected.push({ byte: total, names: sent.map(openFile) });
            total += length;
          }
          for (let read = 0, call = 0; read < total; call++) {
            const buffer = new Uint8Array(sizes[call % sizes.length] ?? 1);
            const received = receiveMessage(far, buffer);
            assert(received !== undefined && received.length > 0 && !received.truncated);
            const end = read + received.length;
            assertEquals(
              buffer.slice(0, received.length),
              Uint8Array.from({ length: received.length }, (_, index) => read + index),
            );
            const due = expected.filter(({ byte }) => byte >= read && byte < end);
            assert(due.length <= 1, "messages with descriptors were joined");
            assertEquals(namesOf(received.fds), due.flatMap(({ names }) => names));
            read = end;
          }
          assertStrictEquals(receiveMessage(far, new Uint8Array(1)), undefined);
        })),
    )
  );
});

Deno.test("a full socket would block, and takes more once it is read", () => {
  withFiles(0, (near, far) => {
    const chunk = new Uint8Array(64 * 1024);
    let sent = 0;
    for (let count; (count = sendMessage(near, chunk)) !== undefined;) sent += count;
    assert(sent > 0);
    let received = 0;
    for (let part; (part = receiveMessage(far, chunk)) !== undefined;) received += part.length;
    assertStrictEquals(received, sent);
    assert(sendMessage(near, chunk) !== undefined);
  });
});

Deno.test("a closed peer is the end for a reader, EPIPE for a writer", () => {
  withFiles(0, (near, far) => {
    sendMessage(near, bytesOf("last"));
    near.close();
    const buffer = new Uint8Array(10);
    assertStrictEquals(receiveMessage(far, buffer)?.length, 4);
    assertEquals(receiveMessage(far, buffer), { length: 0, fds: [], truncated: false });
    assertObjectMatch(assertThrows(() => sendMessage(far, bytesOf("x")), Error), {
      syscall: "sendmsg",
      code: "EPIPE",
    });
  });
  withFiles(0, (near, far) => {
    sendMessage(near, bytesOf("unread"));
    far.close();
    assertObjectMatch(assertThrows(() => receiveMessage(near, new Uint8Array(10)), Error), {
      syscall: "recvmsg",
      code: "ECONNRESET",
    });
  });
});

Deno.test("at the descriptor limit those that fit arrive, and the loss is told", async () => {
  const { soft, hard } = fdLimit();
  const setLimit = (limit: number | bigint) => {
    const bytes = new Uint8Array(new BigUint64Array([BigInt(limit), hard]).buffer);
    check("setrlimit", () => libc().setrlimit(RLIMIT_NOFILE, bytes));
  };
  await leavesNoDescriptors(() =>
    withFiles(8, (near, far, files) => {
      const filling: Fd[] = [];
      sendMessage(near, bytesOf("x"), files);
      // Every number below the limit is taken but three.
      setLimit(Math.max(...files.map((file) => file.number)) + 10);
      try {
        assertObjectMatch(
          assertThrows(
            () => {
              for (;;) filling.push(near.duplicate());
            },
            Error,
            /^fcntl: the limit of \d+ open files is reached; .+ \(EMFILE\)$/,
          ),
          { code: "EMFILE" },
        );
        filling.splice(0, 3).forEach((fd) => fd.close());
        const received = receiveMessage(far, new Uint8Array(10));
        assert(received !== undefined);
        assertStrictEquals(received.length, 1);
        assertStrictEquals(received.truncated, true);
        received.fds.forEach((fd, index) => {
          using closing = fd;
          assertStrictEquals(openFile(closing), openFile(files[index] ?? closing));
        });
        assertStrictEquals(received.fds.length, 3);
      } finally {
        setLimit(soft);
        filling.forEach((fd) => fd.close());
      }
    })
  );
});

Deno.test("bytes are received, but not with descriptors: those stay where they are", async () => {
  await leavesNoDescriptors(() =>
    withFiles(1, (near, far, [file]) => {
      assert(file !== undefined);
      const buffer = new Uint8Array(100);
      assertStrictEquals(receiveBytes(far, buffer), undefined, "it would block");
      sendMessage(near, bytesOf("plain"));
      assertEquals(receiveBytes(far, buffer), { length: 5, withFds: false });
      assertStrictEquals(receiveBytes(far, buffer), undefined, "they are taken");
      sendMessage(near, bytesOf("more"));
      sendMessage(near, bytesOf("x"), [file]);
      for (let round = 0; round < 2; round++) {
        assertEquals(receiveBytes(far, buffer), { length: 5, withFds: true });
      }
      const received = receiveMessage(far, buffer);
      assertEquals([received?.length, namesOf(received?.fds ?? [])], [5, [openFile(file)]]);
      near.close();
      assertEquals(receiveBytes(far, buffer), { length: 0, withFds: false });
    })
  );
});
