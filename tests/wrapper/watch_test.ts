/** Reloads that the wrapper makes by itself since a file has changed, and the commands around them. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { textOf } from "../support/files.ts";
import { site, startWrapper, tag, Wrapper, wrapperCommand } from "../support/haproxy.ts";
import { get, Load, newTarget } from "../support/http_client.ts";
import { metricsOf } from "../support/metrics.ts";
import { until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { ask } from "../support/status.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";

const write = Deno.writeTextFileSync;
const SOON = ["--watch-interval", "0"];

/** What Kubernetes does to a volume: the files' links stay, and lead elsewhere from one moment to the next. */
function publish(folder: TempDir, version: number, files: Readonly<Record<string, string>>): void {
  const place = folder.file(`..2026_${version}`);
  Deno.mkdirSync(place);
  for (const [name, text] of Object.entries(files)) write(`${place}/${name}`, text);
  Deno.symlinkSync(`..2026_${version}`, folder.file("..data_tmp"));
  Deno.renameSync(folder.file("..data_tmp"), folder.file("..data"));
  if (version > 1) Deno.removeSync(folder.file(`..2026_${version - 1}`), { recursive: true });
  for (const name of version > 1 ? [] : Object.keys(files)) {
    Deno.symlinkSync(`..data/${name}`, folder.file(name));
  }
}

Deno.test("a template that changes is a reload under load, a bad one is refused and tried once", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  using folder = tempDir();
  await using wrapper = await startWrapper(site(tag(target), "one"), {
    sock: binder.sock,
    args: [...SOON, "--watch", folder.path],
  });
  const reloaded = (message: string | RegExp) =>
    wrapper.waitFor(({ lastReload }) => lastReload?.message.match(message) !== null);
  await using load = new Load(target, { workers: 2 });
  wrapper.template = site(tag(target), "two");
  await reloaded("generation 2 serves");
  wrapper.template = site(tag(target), "<%= nothing %>");
  await reloaded(/nothing/);
  // The bad config is tried again when somebody asks for it, and not when an editor leaves a backup.
  assertStrictEquals((await ask("reload", wrapper.control)).code, 1);
  write(folder.file("certificate.pem~"), "");
  wrapper.template = site(tag(target), "three");
  const { generations } = await reloaded("generation 3 serves");
  assertStrictEquals(
    generations.some(({ number, state }) => number === 3 && state === "serving"),
    true,
  );
  assertStrictEquals(await get(target), "three");
  const metrics = await metricsOf(wrapper.control);
  assertStrictEquals(metrics.get('multibinder_reloads_total{outcome="failure"}'), 2);
  const { failures } = await load.stop();
  assertEquals(failures, []);
});

Deno.test("a server's config in a volume of Kubernetes changes as a whole", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  using folder = tempDir();
  const config = (reply: string) => site('"fd@${FD_HTTP}"', reply);
  publish(folder, 1, { "site.cfg": config("one"), "certificate.pem": "1" });
  await using wrapper = new Wrapper("", {
    sock: binder.sock,
    args: [
      ...SOON,
      "--watch",
      folder.file("certificate.pem"),
      "--listen",
      `http=${target.hostname}:${target.port}`,
    ],
    command: ["haproxy", "-f", folder.file("site.cfg")],
  });
  await wrapper.serving();
  const serves = (number: number) =>
    wrapper.waitFor(({ lastReload }) => lastReload?.message === `generation ${number} serves`);
  publish(folder, 2, { "site.cfg": config("two"), "certificate.pem": "1" });
  await serves(2);
  // The same files once more are no change; another certificate is.
  publish(folder, 3, { "site.cfg": config("two"), "certificate.pem": "1" });
  publish(folder, 4, { "site.cfg": config("two"), "certificate.pem": "2" });
  await serves(3);
  await wrapper.program.waitFor(/a watched file has changed.* path=\S+\/certificate\.pem/);
  publish(folder, 5, { "site.cfg": config("three"), "certificate.pem": "2" });
  await serves(4);
  assertStrictEquals(await get(target), "three");
});

Deno.test("what the command before a reload changes is no reload of its own, however long it takes", async () => {
  await using binder = await startBinder();
  using folder = tempDir();
  const [watched, begun] = [folder.file("watched"), folder.file("begun")];
  write(watched, "");
  // A change is looked at half a second after it: the first time while the command is still under way.
  const long = `[ $(wc -l <${begun}) != 1 ] || sleep 1`;
  const before = `echo reload >>${begun}; cat ${begun} >${watched}; ${long}`;
  await using wrapper = await startWrapper(site(tag(newTarget()), "one"), {
    sock: binder.sock,
    args: [...SOON, "--watch", watched, "--before-reload", before],
  });
  write(watched, "1");
  await wrapper.waitFor(({ lastReload }) => lastReload?.message === "generation 2 serves");
  const said = [];
  for (let count = 0; count < 3; count++) said.push((await ask("reload", wrapper.control)).stdout);
  assertEquals(said, [3, 4, 5].map((number) => `generation ${number} serves\n`));
  assertStrictEquals(Deno.readTextFileSync(begun), "reload\n".repeat(4));
});

/** Python that answers with what is in a file, as it was when it started. */
const SERVER = `
import os, signal, socket, sys
text = open(sys.argv[2]).read().encode()
listener = socket.socket(fileno=int(sys.argv[1]))
os.write(int(os.environ["FD_READY"]), b"up\\n")
while True:
    client, _ = listener.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text) + text)
    client.close()
`;

Deno.test("the commands around a reload refuse it, make ready what it takes, and hear how it went", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  using folder = tempDir();
  const [script, text, told, go] = ["server.py", "text", "told", "go"].map(folder.file) as [
    string,
    string,
    string,
    string,
  ];
  write(script, SERVER);
  write(text, "one");
  await using wrapper = new Wrapper("", {
    sock: binder.sock,
    args: [
      ...SOON,
      ...["--listen", `http=${target.hostname}:${target.port}`, "--ready-fd", "--watch", text],
      ...["--before-reload", `test -e ${go} || { echo not yet; exit 3; }; cp ${go} ${text}`],
      ...["--after-reload", `echo "$RELOAD_OUTCOME $RELOAD_GENERATION $RELOAD_PID" >>${told}`],
    ],
    command: ["python3", script, "{http}", text],
  });
  const { pid: first } = await wrapper.serving();
  write(text, "two");
  const { lastReload } = await wrapper.waitFor(({ lastReload }) => lastReload?.ok === false);
  assertStrictEquals(
    lastReload?.message,
    "--before-reload refused the reload: exit code 3, not yet",
  );
  write(go, "three");
  write(text, "anything");
  await wrapper.waitFor(({ lastReload }) =>
    lastReload?.ok === true && lastReload.message !== "generation 1 serves"
  );
  assertStrictEquals(await get(target), "three");
  const { generation, pid } = await wrapper.serving();
  assertStrictEquals(generation, 2);
  await until(() => textOf(told).split("\n").length === 3);
  // What the command before a reload has changed leads to no further one.
  assertEquals(Deno.readTextFileSync(told), `failure 1 ${first}\nsuccess 2 ${pid}\n`);
});

Deno.test("an upgrade in place goes on watching, and forgets neither a change nor a refusal", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  await using wrapper = await startWrapper(site(tag(target), "one"), {
    sock: binder.sock,
    args: [...SOON, "--watch", "/etc/passwd"],
  });
  wrapper.template = site(tag(target), "<%= nothing %>");
  const { lastReload: refused } = await wrapper.waitFor(({ lastReload }) =>
    lastReload?.ok === false
  );
  assertStrictEquals((await ask("upgrade", wrapper.control)).code, 0);
  const { upgrades } = await wrapper.waitFor(() => true);
  assertStrictEquals(upgrades, 1);
  wrapper.template = site(tag(target), "two");
  const { lastReload } = await wrapper.waitFor(({ lastReload }) => lastReload?.at !== refused?.at);
  assertEquals([lastReload?.ok, lastReload?.message], [true, "generation 2 serves"]);
  assertStrictEquals(await get(target), "two");
});

Deno.test("an upgrade in place waits for the command after a reload, whose output would be lost", async () => {
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(newTarget()), "one"), {
    sock: binder.sock,
    // Longer than it takes the successor to prove itself.
    args: ["--after-reload", "sleep 3; echo done"],
  });
  assertStrictEquals((await wrapper.reload()).ok, true);
  assertStrictEquals((await ask("upgrade", wrapper.control)).code, 0);
  await wrapper.program.waitFor(/ info --after-reload: done$/);
});

Deno.test("a path to watch that is not there is refused at the start", async () => {
  const { code, stderr } = await runProgram(wrapperCommand("exec", {
    args: ["--listen", "127.0.0.1:61080", "--watch", "/no/such"],
    command: ["sleep", "1"],
  }));
  assertStrictEquals(code, 1);
  assertMatch(stderr, /cannot watch \/no\/such: there is no such file or folder/);
});
