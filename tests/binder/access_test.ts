/** Who may do what with the control socket. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import "../support/libc.ts";
import { Poller } from "../../ffi/poll.ts";
import { ControlClient } from "../../src/control/client.ts";
import { type Binder, multibinder, startBinder } from "../support/binder.ts";
import { bindOnce } from "../support/control_client.ts";
import { settled } from "../support/poller.ts";
import { listeningSockets } from "../support/process.ts";
import { processStatus, until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be several users needs root");

/** Runs a subcommand of ours as another user. */
async function runAs(
  { sock }: Binder,
  { uid = 65534, gid = 65534, groups = [] }: { uid?: number; gid?: number; groups?: number[] },
  subcommand: string,
  ...args: string[]
): Promise<{ code: number; stderr: string }> {
  const supplementary = groups.length > 0 ? ["--groups", groups.join()] : ["--clear-groups"];
  return await runProgram([
    "setpriv",
    ...["--reuid", String(uid), "--regid", String(gid), ...supplementary],
    ...[multibinder(), subcommand, "--sock", sock, ...args],
  ]);
}

Deno.test({
  name: "a file open to all lets nobody in whom the binder does not allow",
  ignore,
  async fn() {
    await using binder = await startBinder([], { args: ["--mode", "0666"] });
    const { code, stderr } = await runAs(binder, {}, "status");
    assertStrictEquals(code, 1);
    assertMatch(
      stderr,
      /Not permitted: uid 65534, gid 65534 may not use this control socket; .* --allow-uid/,
    );
    await binder.program.waitFor(
      / warn denied a client pid=\d+ uid=65534 gid=65534 asked=".*\\"status\\"/,
    );
    assertStrictEquals(
      (await bindOnce(binder.sock, { address: loopbackHost(), port: 80 })).result,
      true,
    );
  },
});

Deno.test({
  name: "--allow-uid, --allow-gid, --owner and --group each let in whom they name",
  ignore,
  async fn() {
    const [uid, gid, other] = [65533, 65532, 65531];
    const cases = [
      [["--mode=0666", `--allow-uid=${uid}`], { uid }, {}],
      [["--mode=0666", `--allow-gid=${gid}`], { gid }, {}],
      [["--mode=0666", "--allow-uid=1", `--allow-gid=${gid}`], { groups: [other, gid] }, {}],
      [["--mode=0666", "--allow-uid=*"], { uid }, undefined],
      [[`--owner=${uid}`], { uid }, {}],
      [["--mode=0660", `--group=${gid}`], { gid }, {}],
      [["--mode=0660", `--group=${gid}`], { groups: [gid] }, { groups: [other] }],
    ] as const;
    for (const [args, allowed, denied] of cases) {
      await using binder = await startBinder([], { args });
      const groups = "groups" in allowed ? [...allowed.groups] : [];
      assertStrictEquals(
        (await runAs(binder, { ...allowed, groups }, "status")).code,
        0,
        args.join(" "),
      );
      if (denied === undefined) continue;
      assertStrictEquals((await runAs(binder, {}, "status")).code, 1, args.join(" "));
    }
  },
});

Deno.test({
  name: "those who are let in may neither upgrade, hand back, nor give up",
  ignore,
  async fn() {
    const address = loopbackHost();
    await using binder = await startBinder([], { args: ["--mode=0666", "--allow-uid=*"] });
    await bindOnce(binder.sock, { address, port: 80 });
    const sockets = () => listeningSockets(binder.program.pid).length;
    const before = sockets();
    for (const [subcommand, ...args] of [["upgrade"], ["unbind", `${address}:80`]] as const) {
      const { code, stderr } = await runAs(binder, {}, subcommand, ...args);
      assertStrictEquals(code, 1);
      assertMatch(stderr, /Not permitted: uid 65534 may not (upgrade|give)/);
    }
    assertStrictEquals(sockets(), before);
    assertStrictEquals((await binder.waitFor(() => true)).errors, 2);
  },
});

Deno.test({
  name: "the binder's own user has its powers without being root",
  ignore,
  async fn() {
    const address = loopbackHost();
    using folder = tempDir();
    Deno.chownSync(folder.path, 65534, 65534);
    await using binder = await startBinder([], {
      sock: folder.file("control.sock"),
      through: ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
    });
    await bindOnce(binder.sock, { address, port: 8080 });
    assertStrictEquals((await runAs(binder, {}, "unbind", `${address}:8080`)).code, 0);
    assertStrictEquals(
      (await runAs(binder, { uid: 65533 }, "status")).code,
      1,
      "the kernel says no",
    );
    assertStrictEquals((await binder.program.end("SIGTERM")).code, 0);
  },
});

Deno.test({
  name: "--user gives up root in every thread, and an upgrade does not bring it back",
  ignore,
  async fn() {
    const address = loopbackHost();
    const args = ["--user", "nobody", "--allow", "*"];
    await using binder = await startBinder([`${address}:80`], { args });
    const { pid } = binder.program;
    const lowest = Number(Deno.readTextFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start"));
    const { uid, gid } = { uid: 65534, gid: 65534 };
    for (const round of [1, 2]) {
      const expected = {
        Uid: `${uid}\t${uid}\t${uid}\t${uid}`,
        Gid: `${gid}\t${gid}\t${gid}\t${gid}`,
        CapEff: "0000000000000000",
        CapPrm: "0000000000000000",
      };
      for (const { name: thread } of Deno.readDirSync(`/proc/${pid}/task`)) {
        for (const [field, value] of Object.entries(expected)) {
          assertStrictEquals(processStatus(Number(thread), field), value);
        }
      }
      assertStrictEquals((await bindOnce(binder.sock, { address, port: 80 })).result, true);
      const low = await bindOnce(binder.sock, { address, port: 81 });
      if (lowest > 81) assertMatch(low.error?.message ?? "", /a port this low needs root/);
      assertStrictEquals((await bindOnce(binder.sock, { address, port: 8080 })).result, true);
      assertStrictEquals((await runAs(binder, { uid: 65533 }, "status")).code, 1);
      if (round === 1) assertStrictEquals((await runAs(binder, {}, "upgrade")).code, 0);
    }
  },
});

Deno.test({
  name: "a binder that never was root may have just what low ports need, for good",
  ignore,
  async fn() {
    const address = loopbackHost();
    using folder = tempDir();
    Deno.chownSync(folder.path, 65534, 65534);
    await using binder = await startBinder([], {
      sock: folder.file("control.sock"),
      through: [
        ...["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        ...["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"],
      ],
    });
    for (const port of [80, 81]) {
      assertStrictEquals((await bindOnce(binder.sock, { address, port })).result, true);
      assertStrictEquals((await runAs(binder, {}, "upgrade")).code, 0);
    }
    assertStrictEquals(processStatus(binder.program.pid, "CapEff"), "0000000000000400");
  },
});

Deno.test("an address is given up, all or none, and can be taken again", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`], { args: ["--allow", "*"] });
  await bindOnce(binder.sock, { address, port: 81 }, { address, port: 82 });
  const unbind = (...addresses: string[]) =>
    runProgram([multibinder(), "unbind", "--sock", binder.sock, ...addresses]);
  const count = () => listeningSockets(binder.program.pid).length;
  assertStrictEquals(count(), 4);

  const refusals = [
    [`${address}:83`, /cannot give up .*:83: it is not held/],
    [`${address}:80`, /cannot give up .*:80: the command line or the config names it/],
  ] as const;
  for (const [other, why] of refusals) {
    const { code, stderr } = await unbind(`${address}:81`, other);
    assertStrictEquals(code, 1);
    assertMatch(stderr, why);
  }
  assertStrictEquals(count(), 4, "none of a refused request is given up");

  const { code, stdout } = await unbind(`${address}:81`, `${address}:82`);
  assertEquals([code, stdout], [0, `gave up ${address}:81\ngave up ${address}:82\n`]);
  assertStrictEquals(count(), 2);
  Deno.listen({ hostname: address, port: 81 }).close();
  assertStrictEquals((await bindOnce(binder.sock, { address, port: 82 })).result, true);
});

Deno.test("an address that a connected wrapper has is kept for as long", async () => {
  const address = loopbackHost();
  await using binder = await startBinder();
  const unbind = () =>
    runProgram([multibinder(), "unbind", "--sock", binder.sock, `${address}:80`]);
  const params = [{ address, port: 80 }];
  const poller = new Poller();
  {
    using wrapper = ControlClient.connect(binder.sock, poller);
    const sockets = await wrapper.bind(params);
    await wrapper.adopt(params, sockets);
    sockets.forEach((fd) => fd.close());
    const why = new RegExp(
      `the wrapper with pid ${Deno.pid} uses it, and would have it bound again`,
    );
    assertMatch((await unbind()).stderr, why);
  }
  await settled(poller);
  await until(async () => (await unbind()).code === 0);
});

/** Binds files over others for a program of ours alone. */
const OVER = 'mount --bind "$1" /etc/group && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"';
const UNSHARE = ["unshare", "--mount", "sh", "-ec", OVER, "sh"];

Deno.test({
  name: "an upgrade goes by what names meant at the start, when they mean nothing any more",
  ignore: ignoreUnless(
    Deno.uid() === 0 &&
      new Deno.Command("unshare", { args: ["--mount", "true"], stderr: "null" }).outputSync()
        .success,
    "to have names of one's own needs root and a mount namespace",
  ),
  async fn() {
    using folder = tempDir();
    const [group, hosts, hostname] = [folder.file("group"), folder.file("hosts"), loopbackHost()];
    Deno.writeTextFileSync(group, "root:x:0:\nsome:x:65531:\nother:x:65532:\n");
    Deno.writeTextFileSync(hosts, `127.0.0.1 localhost\n${hostname} some-host\n`);
    const names = ["--mode=0660", "--group=some", "--allow-gid=other", "--allow=some-host:81"];
    await using binder = await startBinder(["some-host:80"], {
      args: names,
      through: [...UNSHARE, group, hosts],
    });
    Deno.writeTextFileSync(group, "root:x:0:\n");
    Deno.writeTextFileSync(hosts, "127.0.0.1 localhost\n");
    for (const round of [1, 2]) {
      binder.program.signal("SIGUSR1");
      await binder.waitFor(({ upgrades }) => upgrades === round);
      assertStrictEquals(
        (await bindOnce(binder.sock, { address: hostname, port: 81 })).result,
        true,
      );
      assertMatch(
        JSON.stringify(await bindOnce(binder.sock, { address: hostname, port: 82 })),
        /EACCES/,
      );
      assertStrictEquals((await runAs(binder, { gid: 65531 }, "status")).code, 0);
      assertStrictEquals((await runAs(binder, { groups: [65531, 65532] }, "status")).code, 0);
    }
  },
});
