import "../../tests/support/libc.ts";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { ignoreUnless } from "../../tests/support/users.ts";
import { type TempDir, tempDir } from "../../tests/support/temp_dir.ts";
import { UserError } from "../errors.ts";
import {
  planTargets,
  type RenderedFile,
  renderFiles,
  writeFiles,
  writeOutput,
} from "./config_files.ts";
import { writeOutputFile } from "./output_file.ts";
import { TemplateError } from "../templates/render.ts";

/** Writes a template; its target is beside it. */
function template(folder: TempDir, name: string, text: string | Uint8Array) {
  const template = folder.file(`${name}.eta`);
  Deno.writeFileSync(template, typeof text === "string" ? new TextEncoder().encode(text) : text);
  return { template, target: folder.file(name) };
}

/** A file to write, with a template that has this mode. */
function rendered(folder: TempDir, text: string, mode = 0o644): RenderedFile {
  const files = template(folder, "site.cfg", "");
  Deno.chmodSync(files.template, mode);
  return { ...files, text };
}

const socketNames = (descriptors: readonly number[]) =>
  descriptors.map((one) => `fd@${one}`).join(",");

function permissions(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o7777;
}

function names(folder: TempDir): string[] {
  return [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
}

function fails(action: () => unknown, message: RegExp): void {
  assertThrows(action, UserError, message);
}

Deno.test("sockets are numbered from 3 without a gap, across files, in their order", () => {
  using folder = tempDir();
  const plan = [
    template(folder, "a.cfg", "<%= bind_tcp('0.0.0.0', 80) %> <%= bind('[::1]:81') %>"),
    template(folder, "b.cfg", "nothing"),
    template(folder, "c.cfg", "<%= bind('unix:/run/c', { backlog: 5 }) %> <%= bind(':80') %>"),
  ];
  const { files, sockets } = renderFiles(plan, {}, socketNames);
  assertEquals(files.map(({ text }) => text), ["fd@3 fd@4", "nothing", "fd@5 fd@6"]);
  assertEquals(files.map(({ target }) => target), plan.map(({ target }) => target));
  assertEquals(sockets, [
    { address: "0.0.0.0", port: 80 },
    { address: "[::1]", port: 81 },
    { address: "unix:/run/c", backlog: 5 },
    { address: "", port: 80 },
  ]);
  assertEquals(names(folder), ["a.cfg.eta", "b.cfg.eta", "c.cfg.eta"], "nothing is written");
});

/** The plan of the config files of a command. */
function plan(...configs: string[]) {
  return planTargets(configs, undefined);
}

Deno.test("a config is a template by its last ending, and its target lacks that", () => {
  const names = ["a.cfg.eta", "b.cfg.erb", "a.mb", "a.cfg", "a.eta.cfg", "a.b.eta"];
  assertEquals(plan(...names), [
    { template: "a.cfg.eta", target: "a.cfg" },
    { template: "b.cfg.erb", target: "b.cfg" },
    { template: "a.mb", target: "a" },
    { template: "a.b.eta", target: "a.b" },
  ]);
});

Deno.test("a template whose name is an ending and nothing else is refused", () => {
  for (const name of [".eta", "/etc/.erb"]) {
    fails(() => plan(name), /^(\/etc\/\.erb|\.eta): without its ending it has no name/);
  }
});

Deno.test("two templates for one file are refused, however it is written", () => {
  fails(
    () => plan("rel/site.cfg.eta", "./rel/../rel//site.cfg.erb"),
    /^rel\/site\.cfg\.eta and \S+\.erb would both be rendered to \S+$/,
  );
  fails(() => plan("a.eta", `${Deno.cwd()}/a.mb`), /would both be rendered/);
  assertStrictEquals(plan("a.eta", "./a.eta", "b.eta").length, 3);
});

Deno.test("one address twice gets two numbers", () => {
  using folder = tempDir();
  const plan = [template(folder, "a.cfg", "<%= bind(':80') %> <%= bind(':80') %>")];
  const { files, sockets } = renderFiles(plan, {}, socketNames);
  assertStrictEquals(files[0]?.text, "fd@3 fd@4");
  assertStrictEquals(sockets.length, 2);
});

Deno.test("the environment and the text around the tags come through", () => {
  using folder = tempDir();
  const plan = [template(folder, "a.cfg", "\ufeffgrüße <%= ENV['NAME'] %>\r\n")];
  assertStrictEquals(
    renderFiles(plan, { NAME: "ß" }, socketNames).files[0]?.text,
    "\ufeffgrüße ß\r\n",
  );
});

Deno.test("what is wrong in a template is said with its file and line", () => {
  using folder = tempDir();
  const plan = [template(folder, "a.cfg", "fine\n<%= missing %>")];
  assertThrows(() => renderFiles(plan, {}, socketNames), TemplateError, "a.cfg.eta:2: missing");
  const malformed = [template(folder, "b.cfg", "\n\n<%= bind('80') %>")];
  fails(
    () => renderFiles(malformed, {}, socketNames),
    /b\.cfg\.eta:3: malformed address "80".*did you mean ":80"/,
  );
});

Deno.test("port 0 is refused where the template asks for it", () => {
  using folder = tempDir();
  for (const bind of ["bind_tcp('127.0.0.1', 0)", "bind('udp:[::1]:00')"]) {
    const zero = [template(folder, "a.cfg", `fine\nbind <%= ${bind} %>`)];
    fails(
      () => renderFiles(zero, {}, socketNames),
      /a\.cfg\.eta:2: port 0 is another port each time; .*, in /,
    );
  }
});

Deno.test("bytes that are no UTF-8 are written as they were", () => {
  using folder = tempDir();
  const bytes = new Uint8Array([0x67, 0x72, 0xfc, 0xdf, 0xc3, 0xbc]);
  const { files } = renderFiles([template(folder, "a.cfg", bytes)], {}, socketNames);
  writeFiles(files);
  assertEquals(Deno.readFileSync(folder.file("a.cfg")), bytes);
});

Deno.test("a template that cannot be read is named", () => {
  using folder = tempDir();
  const missing = folder.file("none.eta");
  fails(
    () => renderFiles([{ template: missing, target: "none" }], {}, socketNames),
    new RegExp(`cannot read the template ${missing}: no such file`, "i"),
  );
  fails(
    () => renderFiles([{ template: folder.path, target: "none" }], {}, socketNames),
    new RegExp(`cannot read the template ${folder.path}: .*directory`, "i"),
  );
});

Deno.test("a new file has its template's permissions, which may guard a secret", () => {
  for (const mode of [0o600, 0o640, 0o664]) {
    using folder = tempDir();
    const file = rendered(folder, "text", mode);
    writeFiles([file]);
    assertStrictEquals(Deno.readTextFileSync(file.target), "text");
    assertStrictEquals(permissions(file.target), mode);
    assertEquals(names(folder), ["site.cfg", "site.cfg.eta"], "no temporary file is left");
  }
});

Deno.test("a file that exists keeps its permissions", () => {
  using folder = tempDir();
  const file = rendered(folder, "new");
  Deno.writeTextFileSync(file.target, "old");
  Deno.chmodSync(file.target, 0o604);
  writeFiles([file]);
  assertStrictEquals(Deno.readTextFileSync(file.target), "new");
  assertStrictEquals(permissions(file.target), 0o604);
});

Deno.test({
  name: "a file that exists keeps its owner, and a new one has its template's",
  ignore: ignoreUnless(Deno.uid() === 0, "only root can give files away"),
  fn: () => {
    for (const owned of ["target", "template"] as const) {
      using folder = tempDir();
      const file = rendered(folder, "new", 0o600);
      if (owned === "target") Deno.writeTextFileSync(file.target, "old", { mode: 0o600 });
      Deno.chownSync(file[owned], 65534, 65534);
      writeFiles([file]);
      const { uid, gid } = Deno.statSync(file.target);
      assertEquals({ uid, gid }, { uid: 65534, gid: 65534 });
      assertStrictEquals(permissions(file.target), 0o600);
    }
  },
});

Deno.test("a link to a file stays one, and the file behind it is replaced", () => {
  using folder = tempDir();
  using elsewhere = tempDir();
  const file = rendered(folder, "new");
  Deno.writeTextFileSync(elsewhere.file("real.cfg"), "old");
  Deno.symlinkSync(elsewhere.file("real.cfg"), file.target);
  writeFiles([file]);
  assert(Deno.lstatSync(file.target).isSymlink);
  assertStrictEquals(Deno.readTextFileSync(elsewhere.file("real.cfg")), "new");
  assertEquals(names(elsewhere), ["real.cfg"]);
});

Deno.test("a template is not overwritten by what it is rendered to, under whichever name", () => {
  using folder = tempDir();
  const [other, own] = [rendered(folder, "new"), template(folder, "own.cfg", "template")];
  Deno.symlinkSync(own.template, own.target);
  for (const target of [own.template, own.target, `${folder.path}/.//own.cfg.eta`]) {
    fails(
      () => writeFiles([other, { ...own, target, text: "new" }]),
      new RegExp(`cannot write ${target}: it is a template, and would be lost`),
    );
  }
  assertStrictEquals(Deno.readTextFileSync(own.template), "template");
  assertEquals(names(folder), ["own.cfg", "own.cfg.eta", "site.cfg.eta"], "nothing is written");
});

Deno.test("who has the old file open goes on reading the old text", async () => {
  using folder = tempDir();
  const file = rendered(folder, "new");
  Deno.writeTextFileSync(file.target, "old");
  const before = await Deno.open(file.target);
  writeFiles([file]);
  assertStrictEquals(await new Response(before.readable).text(), "old");
  assertStrictEquals(Deno.readTextFileSync(file.target), "new");
});

Deno.test("a reader sees the old text or the new, and nothing in between", async () => {
  using folder = tempDir();
  const file = rendered(folder, "");
  const texts = ["a".repeat(100_000), "b".repeat(100_000)];
  writeFiles([{ ...file, text: "a".repeat(100_000) }]);
  // [whether to stop, how often it was read, how often the text was neither]
  const shared = new Int32Array(new SharedArrayBuffer(12));
  const reader = new Worker(
    URL.createObjectURL(
      new Blob(
        [`
    self.onmessage = ({ data: { path, shared, texts } }) => {
      self.postMessage("reading");
      while (Atomics.load(shared, 0) === 0) {
        let text;
        try { text = Deno.readTextFileSync(path); } catch { /* counted */ }
        if (!texts.includes(text)) Atomics.add(shared, 2, 1);
        Atomics.add(shared, 1, 1);
      }
      self.postMessage("done");
    };
  `],
        { type: "text/javascript" },
      ),
    ),
    { type: "module" },
  );
  const said = () => new Promise((resolve) => reader.onmessage = ({ data }) => resolve(data));
  reader.postMessage({ path: file.target, shared, texts });
  assertStrictEquals(await said(), "reading");
  for (let round = 0; round < 300 || Atomics.load(shared, 1) < 100; round++) {
    writeFiles([{ ...file, text: texts[round % 2] ?? "" }]);
  }
  const done = said();
  Atomics.store(shared, 0, 1);
  assertStrictEquals(await done, "done");
  reader.terminate();
  assertStrictEquals(Atomics.load(shared, 2), 0);
});

Deno.test("a folder that cannot be written to: the error says what to do", () => {
  using folder = tempDir();
  const file = rendered(folder, "text");
  const target = folder.file("none/site.cfg");
  fails(
    () => writeFiles([{ ...file, target }]),
    new RegExp(`cannot write ${target}: .*; --render-dir puts it into another folder`),
  );
});

Deno.test("a write that fails leaves no temporary file", () => {
  using folder = tempDir();
  const file = rendered(folder, "text");
  Deno.mkdirSync(`${file.target}/in the way`, { recursive: true });
  fails(() => writeFiles([file]), /cannot write .*--render-dir/);
  assertEquals(names(folder), ["site.cfg", "site.cfg.eta"]);
});

Deno.test("a pipe is written to for an output alone: elsewhere it might wait for ever", async () => {
  using folder = tempDir();
  const pipe = folder.file("site.cfg");
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  // Both ends at once: nobody waits for the other.
  using ends = Deno.openSync(pipe, { read: true, write: true });
  writeOutput({ ...rendered(folder, "1\n"), target: pipe });
  assert(Deno.statSync(pipe).isFifo);
  assertStrictEquals(ends.readSync(new Uint8Array(100)), 2);
  writeFiles([{ ...rendered(folder, "2\n"), target: pipe }]);
  assertStrictEquals(Deno.readTextFileSync(pipe), "2\n");
});

Deno.test({
  name: "a device is written to, and stays what it is",
  ignore: ignoreUnless(Deno.uid() === 0, "to make a device needs root"),
  async fn() {
    using folder = tempDir();
    const device = folder.file("null");
    await new Deno.Command("mknod", { args: [device, "c", "1", "3"] }).output();
    writeOutputFile(device, "1\n");
    Deno.symlinkSync(device, folder.file("link"));
    writeFiles([{ ...rendered(folder, "2\n"), target: folder.file("link") }]);
    assert(Deno.statSync(device).isCharDevice);
    assertEquals(names(folder), ["link", "null", "site.cfg.eta"]);
  },
});
