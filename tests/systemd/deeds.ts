/** What operators do to a host, slips included. Each ends with everything mended, and the host serves then. */

import { assert, assertMatch, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { get } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import {
  BINDER,
  BINDER_CONFIG,
  binderConfig,
  config,
  CONTROL,
  HAPROXY,
  type Host,
  TEMPLATE,
  VARIABLES,
} from "./host.ts";

/** The folder of the wrapper's own files. */
const RUN = "/run/multibinder-haproxy/site";

/** One of them. */
export interface Deed {
  act: (host: Host) => Promise<void>;
  /** A HAProxy is killed: connections that it had accepted end with it. */
  cuts?: true;
  /** Other tests have its parts, and there is no time for all of them in every run: it is left to the trial. */
  isExtra?: true;
}

/** A reload must reach the binder: it gets the sockets from there. */
export async function reloads(host: Host, text: string): Promise<void> {
  host.write(TEMPLATE, config(text));
  await host.run("systemctl", "reload", HAPROXY);
  assertStrictEquals(await get(host.target), text);
}

/** A reload that fails, and says why; whatever serves goes on. */
async function failsToReload(host: Host, unit: string, why: RegExp): Promise<void> {
  assertNotStrictEquals((await host.try("systemctl", "reload", unit)).code, 0);
  assertMatch((await host.log(unit, "--lines=30")).join("\n"), why);
  await get(host.target);
}

/** Kills the process of a unit again and again, as soon as there is another one. */
async function killTimes(host: Host, count: number, pidOf: () => Promise<string>): Promise<void> {
  for (let last = "0"; count > 0; count--) {
    let pid = last;
    await until(async () => /^[1-9]\d*$/.test(pid = await pidOf()) && pid !== last);
    last = pid;
    // One that checks a config may have ended by itself.
    await host.try("sh", "-c", `kill -KILL ${pid}`);
  }
}

const mainPid = (host: Host, unit: string) => () => host.show(unit, "MainPID");
const haproxyPid = (host: Host) => async () => (await host.try("pidof", "haproxy")).stdout.trim();

/** Waits until the unit has failed to start more often than systemd's default limit has it. */
async function hasFailedOften(host: Host, unit: string): Promise<void> {
  await until(async () => Number(await host.show(unit, "NRestarts")) >= 6);
}

/** Restarts the binder with a config that is of no use. */
async function restartInto(host: Host, text: string): Promise<void> {
  host.write(BINDER_CONFIG, text);
  await host.try("systemctl", "restart", BINDER);
  await until(async () => Number(await host.show(BINDER, "NRestarts")) >= 1);
  await get(host.target);
}

/** Does something while nothing more can be written below /run. */
async function withFullDisk(host: Host, act: () => Promise<void>): Promise<void> {
  await host.run("mount", "-o", "remount,size=32M", "/run");
  await host.try("sh", "-c", "cat /dev/zero >/run/full");
  try {
    await act();
  } finally {
    await host.run("rm", "/run/full");
  }
}

/** The address that is served is not in the config of one start of the binder. @param verb of systemctl */
function putBackBy(verb: "restart" | "reload"): Deed {
  return {
    act: async (host) => {
      host.write(BINDER_CONFIG, binderConfig(":81"));
      await host.run("systemctl", "restart", BINDER);
      host.write(BINDER_CONFIG, binderConfig(":80"));
      await host.run("systemctl", verb, BINDER);
    },
  };
}

/** By what is done. */
export const DEEDS: Readonly<Record<string, Deed>> = {
  "a stop and a start": {
    isExtra: true,
    act: async (host) => {
      await host.run("systemctl", "stop", BINDER);
      await host.run("systemctl", "start", BINDER);
    },
  },
  "a slip in the addresses, a restart, and the slip mended": {
    act: async (host) => {
      host.write(BINDER_CONFIG, binderConfig(":8O"));
      await host.try("systemctl", "restart", BINDER);
      await hasFailedOften(host, BINDER);
      assertStrictEquals(await host.show(BINDER, "NFileDescriptorStore"), "1", "what it holds");
      await get(host.target);
      host.write(BINDER_CONFIG, binderConfig(":80"));
    },
  },
  "seven times kill -9 of the binder": {
    isExtra: true,
    act: (host) => killTimes(host, 7, mainPid(host, BINDER)),
  },
  ":80 left out of the config, a restart, and put back with a restart": {
    ...putBackBy("restart"),
    isExtra: true,
  },
  ":80 left out of the config, a restart, and put back with a reload": putBackBy("reload"),
  "who may hand back and :80 left out of the config, a restart, and both put back with one": {
    isExtra: true,
    act: async (host) => {
      host.write(BINDER_CONFIG, 'addresses = [":81"]\nallow-gid = ["haproxy"]\n');
      await host.run("systemctl", "restart", BINDER);
      // The wrapper is told that it may not.
      await until(async () => {
        const status = await host.run("multibinder", "status", "--sock", CONTROL);
        return /takes no sockets back/.test(status);
      });
      host.write(BINDER_CONFIG, binderConfig(":80"));
      await host.run("systemctl", "restart", BINDER);
    },
  },
  "a stop of the binder with its socket, a restart of HAProxy, and a start of the binder": {
    isExtra: true,
    act: async (host) => {
      await host.run("systemctl", "stop", "multibinder.socket", BINDER);
      await host.run("systemctl", "restart", HAPROXY);
      await host.run("systemctl", "start", BINDER);
    },
  },
  "a stop of the binder, kill -9 of the wrapper, and both started in one go": {
    isExtra: true,
    act: async (host) => {
      await host.run("systemctl", "stop", BINDER);
      await host.kill(HAPROXY);
      // The wrapper starts after the binder. If the one before was killed before it had handed the socket back, this
      // start of the binder fails, and the next one, a second later, gets it.
      await host.try("systemctl", "restart", BINDER, HAPROXY);
    },
  },
  "a stop of the binder, and a reload of HAProxy that starts one again": {
    isExtra: true,
    act: async (host) => {
      await host.run("systemctl", "stop", BINDER);
      await reloads(host, "V1");
    },
  },
  "a restart of both, with a reload of systemd half way": {
    isExtra: true,
    act: async (host) => {
      const restart = host.run("systemctl", "restart", HAPROXY, BINDER);
      await host.run("systemctl", "daemon-reload");
      await restart;
      const reload = host.run("systemctl", "reload", HAPROXY);
      await host.run("systemctl", "daemon-reload");
      await reload;
    },
  },
  "three times kill -9 of the wrapper": {
    isExtra: true,
    act: (host) => killTimes(host, 3, mainPid(host, HAPROXY)),
  },
  "three times kill -9 of HAProxy": {
    isExtra: true,
    cuts: true,
    act: (host) => killTimes(host, 3, haproxyPid(host)),
  },
  "kill -9 of everything at once": {
    cuts: true,
    act: async (host) => {
      const pids = [mainPid(host, BINDER), mainPid(host, HAPROXY), haproxyPid(host)];
      await host.run(
        "sh",
        "-c",
        `kill -KILL ${(await Promise.all(pids.map((of) => of()))).join(" ")}`,
      );
    },
  },
  "a config of the binder that it may not read, a restart, and the mode mended": {
    isExtra: true,
    act: async (host) => {
      await host.run("chmod", "600", BINDER_CONFIG);
      await failsToReload(host, BINDER, /cannot read the config \S+binder\.toml: .*EACCES/);
      await restartInto(host, binderConfig(":80"));
      await host.run("chmod", "644", BINDER_CONFIG);
    },
  },
  "slips in the template, the variables and the options, a reload and a restart of each": {
    isExtra: true,
    act: async (host) => {
      host.write(TEMPLATE, config("V1").replace("mode http", "mode htpp"));
      await failsToReload(host, HAPROXY, /unknown proxy mode 'htpp'/);
      await host.try("systemctl", "restart", HAPROXY);
      await hasFailedOften(host, HAPROXY);
      await get(host.target);
      host.write(TEMPLATE, config("V1"));
      await host.activates(HAPROXY);
      host.write(VARIABLES, "COLOUR\n");
      await failsToReload(host, HAPROXY, /multibinder-haproxy-site:1: /);
      host.write(VARIABLES, 'OPTIONS="--drian 5m"\n');
      await host.try("systemctl", "restart", HAPROXY);
      await hasFailedOften(host, HAPROXY);
      assertMatch((await host.log(HAPROXY, "--lines=30")).join("\n"), /--drian.*--drain/);
      await get(host.target);
      await host.run("rm", VARIABLES);
      await host.activates(HAPROXY);
    },
  },
  "files of another user in the way of the rendered config, and a template of root's alone": {
    isExtra: true,
    act: async (host) => {
      const rendered = `${RUN}/site.cfg`;
      await host.run("sh", "-c", `rm ${rendered}; mkdir ${rendered}`);
      await failsToReload(
        host,
        HAPROXY,
        /cannot write \S+site\.cfg: something else than a file is there/,
      );
      await host.run("rmdir", rendered);
      await host.run("chmod", "600", TEMPLATE);
      await failsToReload(host, HAPROXY, /cannot read the template \S+site\.cfg\.eta: .*EACCES/);
      await host.run("chmod", "644", TEMPLATE);
      // Anyone's file there is replaced: the folder is the wrapper's own.
      await host.run("sh", "-c", `rm -f ${rendered}; install -m 600 /dev/null ${rendered}`);
    },
  },
  "a disk that is full at a reload, and when everything but HAProxy is killed": {
    act: (host) =>
      withFullDisk(host, async () => {
        await failsToReload(host, HAPROXY, /ENOSPC|o space left/);
        for (const unit of [BINDER, HAPROXY]) await host.kill(unit);
        await until(async () => Number(await host.show(HAPROXY, "NRestarts")) >= 1);
        await get(host.target);
      }),
  },
  "a program of somebody else on an address that is new in the config, until it ends": {
    isExtra: true,
    act: async (host) => {
      const listen = "use Socket; socket S, PF_INET, SOCK_STREAM, 0; " +
        "bind S, sockaddr_in(81, INADDR_ANY) or die; listen S, 5; sleep 1000";
      await host.run("systemd-run", "--unit=other", "--quiet", "perl", "-e", listen);
      await until(async () => /:0051 /.test(await host.run("cat", "/proc/net/tcp")));
      host.write(BINDER_CONFIG, binderConfig(":80", ":81"));
      await failsToReload(host, BINDER, /0\.0\.0\.0:81: the address is in use/);
      await restartInto(host, binderConfig(":80", ":81"));
      await host.run("systemctl", "stop", "other");
      await until(async () => (await host.try("multibinder", "healthcheck")).code === 0);
      host.write(BINDER_CONFIG, binderConfig(":80"));
      await host.run("systemctl", "reload", BINDER);
    },
  },
  "the control socket's file removed, and its unit restarted": {
    isExtra: true,
    act: async (host) => {
      await host.run("rm", "/run/multibinder.sock");
      await reloads(host, "V1");
      await host.run("systemctl", "restart", "multibinder.socket");
    },
  },
};

/** Waits until the binder holds that very socket and says that it is well, and HAProxy's unit as well. */
export async function isBack(host: Host, sockets: readonly number[]): Promise<void> {
  await until(async () => {
    const { code } = await host.try("multibinder", "healthcheck", "--timeout", "1s");
    return code === 0 && await host.show(BINDER, "ActiveState") === "active";
  });
  await host.activates(HAPROXY);
  const held = await host.listening(BINDER);
  assert(
    held.length === sockets.length && sockets.every((inode) => held.includes(inode)),
    `it holds ${held} and not ${sockets}`,
  );
}
