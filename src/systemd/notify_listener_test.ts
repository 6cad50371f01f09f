import { assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { SOCK_DGRAM } from "../../ffi/constants.ts";
import { sendMessage } from "../../ffi/fd_passing.ts";
import { createPipe } from "../../ffi/pipe.ts";
import { isReady, Poller } from "../../ffi/poll.ts";
import { connectUnix } from "../../ffi/socket.ts";
import { type Notification, NotifyListener, parseNotification } from "./notify_listener.ts";

const bytes = (text: string) => new Uint8Array(new TextEncoder().encode(text));

Deno.test("it takes what its own processes say, and learns from the kernel who that is", async () => {
  const poller = new Poller();
  await leavesNoDescriptors(async () => {
    const heard: Notification[] = [];
    const senders: number[] = [];
    let isOurs = true;
    using listener = new NotifyListener(poller, (pid) => {
      senders.push(pid);
      return isOurs;
    }, (one) => heard.push(one));
    using socket = connectUnix(listener.name.replace("@", "\0"), SOCK_DGRAM);
    sendMessage(socket, bytes("READY=1\nSTATUS=a=b\nnonsense\n=x"));
    await until(() => heard.length === 1);
    // A barrier's descriptor is closed, which its sender waits for.
    const { reader, writer } = createPipe();
    sendMessage(socket, bytes("BARRIER=1"), [writer]);
    writer.close();
    await until(() => isReady(reader, 0));
    reader.close();
    isOurs = false;
    sendMessage(socket, bytes("READY=1"));
    await until(() => senders.length === 3);
    assertEquals(heard.map((one) => Object.fromEntries(one)), [
      { READY: "1", STATUS: "a=b" },
      { BARRIER: "1" },
    ]);
    assertEquals(senders, [Deno.pid, Deno.pid, Deno.pid]);
  });
  await settled(poller);
});

Deno.test("a stranger's descriptors are not received, and end it", async () => {
  const poller = new Poller();
  await leavesNoDescriptors(async () => {
    const heard: Notification[] = [];
    const deafened = Promise.withResolvers<number | undefined>();
    using listener = new NotifyListener(
      poller,
      () => false,
      (one) => heard.push(one),
      (sender) => deafened.resolve(sender?.pid),
    );
    using socket = connectUnix(listener.name.replace("@", "\0"), SOCK_DGRAM);
    const { reader, writer } = createPipe();
    sendMessage(socket, bytes("READY=1"), [writer]);
    writer.close();
    assertEquals(await deafened.promise, Deno.pid);
    await until(() => isReady(reader, 0));
    reader.close();
    assertEquals(heard, []);
  });
  await settled(poller);
});

Deno.test("a datagram is lines of NAME=VALUE, and nothing else counts", () => {
  assertEquals([...parseNotification("A=1\nB=\n\nC\nA=2")], [["A", "2"], ["B", ""]]);
  assertEquals([...parseNotification("")], []);
});
