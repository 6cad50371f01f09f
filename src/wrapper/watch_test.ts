import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { type TempDir, tempDir } from "../../tests/support/temp_dir.ts";
import { Poller } from "../../ffi/poll.ts";
import { createLog } from "../log.ts";
import { Watch, type WatchState, type WatchTimes } from "./watch.ts";
import { type Contents, WatchedFiles } from "./watched_files.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();
const write = Deno.writeTextFileSync;

/** Counts how often it is looked at. */
class CountedFiles extends WatchedFiles {
  looks = 0;

  override async look(heed: (folder: string) => void): Promise<Contents> {
    const contents = await super.look(heed);
    this.looks++;
    return contents;
  }
}

/** A watch whose reloads begin and end when a test says so. */
class Scene implements AsyncDisposable {
  readonly log: string[] = [];
  readonly files: CountedFiles;
  readonly watch: Watch;
  reloads = 0;
  #end: PromiseWithResolvers<boolean> | undefined;

  constructor(paths: readonly string[], times: Partial<WatchTimes> = {}, seen?: WatchState) {
    const log = createLog({ format: "text", level: "info" }, (line) => this.log.push(line.trim()));
    this.files = new CountedFiles(paths);
    this.watch = new Watch(
      this.files,
      { quiet: 20, period: LONG, interval: 0, ...times },
      poller,
      log,
      async () => {
        this.reloads++;
        await this.watch.note();
        this.#end = Promise.withResolvers();
        const ok = await this.#end.promise;
        return { at: "", ok, message: "" };
      },
      seen,
    );
    void this.watch.run();
  }

  /** Waits for the n-th reload, and lets it end. */
  async reloaded(count: number, ok = true): Promise<void> {
    await until(() => this.reloads === count && this.#end !== undefined);
    this.#end?.resolve(ok);
    this.#end = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch[Symbol.dispose]();
    await settled(poller);
  }
}

/** Waits until the first look was taken. */
const watching = (scene: Scene) => until(() => Object.keys(scene.watch.state).length > 0);

function withScene(
  test: (scene: Scene, path: string, folder: TempDir) => Promise<void>,
  times?: Partial<WatchTimes>,
): Promise<void> {
  return leavesNoDescriptors(async () => {
    using folder = tempDir();
    const path = folder.file("site.cfg");
    write(path, "one");
    await using scene = new Scene([path], times);
    await watching(scene);
    await test(scene, path, folder);
  });
}

Deno.test("a change is a reload, however it was made, and several at once are one", async () => {
  await withScene(async (scene, path, folder) => {
    for (const text of ["a", "b", "c", "d"]) write(path, text);
    await scene.reloaded(1);
    write(folder.file("new"), "two");
    Deno.renameSync(folder.file("new"), path);
    await scene.reloaded(2);
    // Gone for a moment, and back with another text.
    Deno.removeSync(path);
    write(path, "three");
    await scene.reloaded(3);
    assertStrictEquals(scene.log.filter((line) => line.includes(`path=${path}`)).length, 3);
  });
});

Deno.test("a file that is gone, or that holds what it held, is no reload", async () => {
  await withScene(async (scene, path, folder) => {
    const lookedAt = () => {
      const { looks } = scene.files;
      return until(() => scene.files.looks > looks + 1);
    };
    Deno.removeSync(path);
    await lookedAt();
    write(folder.file("other"), "");
    write(path, "one");
    Deno.utimeSync(path, 0, 0);
    await lookedAt();
    write(path, "two");
    await scene.reloaded(1);
    assertStrictEquals(scene.reloads, 1);
  }, { period: 1 });
});

Deno.test("what was refused is not tried again before it changes", async () => {
  await withScene(async (scene, path) => {
    write(path, "bad");
    await scene.reloaded(1, false);
    await until(() => scene.log.some((line) => line.includes("is not tried again")));
    write(path, "bad");
    write(path, "good");
    await scene.reloaded(2);
    assertStrictEquals(scene.reloads, 2);
  }, { period: 1 });
});

Deno.test("a change during a reload is another one, after the least time between two", async () => {
  await withScene(async (scene, path) => {
    await using patient = new Scene([path], { interval: LONG });
    await watching(patient);
    write(path, "two");
    await until(() => scene.reloads === 1 && patient.reloads === 1);
    write(path, "three");
    await patient.reloaded(1);
    await scene.reloaded(1);
    await scene.reloaded(2);
    write(path, "four");
    await scene.reloaded(3);
    assertStrictEquals(patient.reloads, 1);
  });
});

Deno.test("what somebody else's reload has taken in is not reloaded again", async () => {
  await withScene(async (scene, path) => {
    write(path, "two");
    await scene.watch.note();
    write(path, "three");
    await scene.reloaded(1);
    assertStrictEquals(scene.reloads, 1);
  });
});

Deno.test("a folder that is made again is watched as before, and files that come and go count", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const certs = folder.file("certs");
    Deno.mkdirSync(certs);
    write(`${certs}/a.pem`, "one");
    await using scene = new Scene([certs]);
    await watching(scene);
    write(`${certs}/b.pem`, "two");
    await scene.reloaded(1);
    Deno.removeSync(certs, { recursive: true });
    await scene.reloaded(2);
    Deno.mkdirSync(certs);
    write(`${certs}/a.pem`, "three");
    await scene.reloaded(3);
    // All that was told of so far is looked at, and the next look is for what comes.
    for (let count = 0; count < 2; count++) {
      const { looks } = scene.files;
      write(folder.file("unrelated"), "");
      await until(() => scene.files.looks > looks);
    }
    write(`${certs}/a.pem`, "four");
    await scene.reloaded(4);
  });
});

Deno.test("changes between two programs are found by the second, and refused ones are remembered", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const [path, other] = [folder.file("site.cfg"), folder.file("other.cfg")];
    write(path, "bad");
    write(other, "one");
    const handedOver: WatchState[] = [];
    {
      await using before = new Scene([path, other]);
      await watching(before);
      handedOver.push(before.watch.state);
    }
    await using after = new Scene([path, other], {}, handedOver[0]);
    write(other, "two");
    await after.reloaded(1);
    assertStrictEquals(after.reloads, 1);
    assertMatch(after.log.join("\n"), new RegExp(`path=${other}`));
    handedOver.push(after.watch.state);
    write(other, "three");
    await using third = new Scene([path, other], {}, JSON.parse(JSON.stringify(handedOver[1])));
    await third.reloaded(1);
    await after.reloaded(2);
    assertEquals(Object.keys(third.watch.state), [path, other]);
  });
});

Deno.test("what the kernel does not tell of is found by the looks", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    // The folder above the file's is moved away with it, and another one comes in its place.
    Deno.mkdirSync(folder.file("a/b"), { recursive: true });
    write(folder.file("a/b/site.cfg"), "one");
    await using scene = new Scene([folder.file("a/b/site.cfg")], { period: 10 });
    await watching(scene);
    Deno.mkdirSync(folder.file("new/b"), { recursive: true });
    write(folder.file("new/b/site.cfg"), "two");
    Deno.renameSync(folder.file("a"), folder.file("old"));
    Deno.renameSync(folder.file("new"), folder.file("a"));
    await scene.reloaded(1);
  });
});
