/** Finding the control socket that a command is for: the one of --sock, or that of a wrapper of the binder there. */

import { ControlClient } from "../control/client.ts";
import { RefusedError } from "../control/client_errors.ts";
import { PEERS } from "../control/expected_peer.ts";
import { EXIT, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import type { Argument } from "./subcommand.ts";

/** The words that name a wrapper. */
export const NAME: Argument = {
  name: "NAME",
  about: "a wrapper of the binder, by its config's name or its pid",
  count: "any",
};

export const NAMES = `
NAME is a wrapper that is connected to the binder at --sock: its config's path, file
name, or file name up to the first dot; the same of its program or folder where it has
no config; or its pid. Without a NAME the one at --sock is meant: a wrapper, or, for
what only a wrapper can do, the only one of that binder.
`;

/** A wrapper, as a binder tells of it. */
interface Wrapper {
  pid: number;
  uid: number;
  service: string;
  control?: string | null;
}

/**
 * Connects to a binder or a wrapper.
 * @param sock a control socket
 * @param words what the command line names, one word at most
 * @param wanted `wrapper` when a binder cannot do what is to be asked
 * @param timeout milliseconds that an answer may take
 * @throws {UserError} when there is none, or it is not clear which one is meant
 */
export async function connectTo(
  sock: string,
  words: readonly string[],
  wanted: "wrapper" | "either",
  timeout?: number,
): Promise<ControlClient> {
  const [name, ...more] = words;
  if (more.length > 0) {
    throw new UserError("there can be only one NAME", { exitCode: EXIT.usage });
  }
  const connect = (path: string) => ControlClient.connect(path, undefined, timeout, PEERS[wanted]);
  if (name === undefined && wanted === "either") return connect(sock);
  const wrappers = await wrappersOf(sock, timeout);
  // A wrapper answers itself, or a binder that is too old to tell of its wrappers.
  if (wrappers === undefined) {
    if (name === undefined) return connect(sock);
    throw new UserError(
      `${sock} is no binder that tells of its wrappers: name one by its --control`,
    );
  }
  const { control, pid, uid, service } = choose(wrappers, name, sock);
  const who = `the wrapper of ${escapeControls(service)} (pid ${pid})`;
  if (typeof control !== "string") throw new UserError(`${who} has no control socket`);
  let client: ControlClient | undefined;
  try {
    client = connect(control);
    // Once a wrapper has ended, anybody could take the name of its control socket; and the binder that told of it
    // may have named another's.
    const isIt = [0, uid].includes(client.answering.uid) &&
      Object(await client.call("status", [])).service === service;
    if (isIt) return client;
  } catch (error) {
    client?.close();
    // Such an error says itself why there is no answer.
    if (error instanceof RefusedError || !(error instanceof UserError)) throw error;
    throw new UserError(
      `${who} cannot be reached at ${
        escapeControls(control)
      }: it ended, or runs in another container, ` +
        "where this command reaches it",
      { cause: error },
    );
  }
  client.close();
  throw new UserError(`another one answers in the place of ${who}`);
}

/** @returns undefined when it is no binder, or too old to tell */
async function wrappersOf(sock: string, timeout?: number): Promise<Wrapper[] | undefined> {
  using client = ControlClient.connect(sock, undefined, timeout, PEERS.either);
  const status = await client.call("status", []);
  if (typeof status !== "object" || status === null || !("wrappers" in status)) return undefined;
  const { wrappers } = status;
  return Array.isArray(wrappers) ? wrappers.filter(isWrapper) : undefined;
}

function isWrapper(value: unknown): value is Wrapper {
  const { pid, uid, service, control } = Object(value);
  return typeof pid === "number" && typeof uid === "number" && typeof service === "string" &&
    (typeof control === "string" || control === null || control === undefined);
}

function choose(wrappers: readonly Wrapper[], name: string | undefined, sock: string): Wrapper {
  const found = name === undefined ? wrappers : wrappers.filter((one) => isCalled(one, name));
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  const what = name === undefined ? "" : ` called ${name}`;
  const known = (only === undefined ? wrappers : found)
    .map(({ service, pid }) => `${escapeControls(service)} (pid ${pid})`).join(", ") || "none";
  throw new UserError(
    only === undefined
      ? `the binder at ${sock} has no wrapper${what} that is connected; it has: ${known}`
      : `the binder at ${sock} has ${found.length} wrappers${what}; name one of: ${known}`,
  );
}

/** A service is the paths of configs, or a folder and the words of a command. */
function isCalled({ service, pid }: Wrapper, name: string): boolean {
  const words = [service, ...service.split(/[: ]/)];
  const files = words.map((word) => word.replace(/^.*\//, ""));
  const stems = files.map((file) => file.replace(/(?<=.)\..*$/, ""));
  return [...words, ...files, ...stems, String(pid)].includes(name);
}
