/** Asking a binder or a wrapper, with the program's own commands. */

import { multibinder } from "./binder.ts";
import { type Exit, runProgram } from "./program.ts";

/** What `status --json` prints of either role. */
export interface Status {
  role: string;
  version: string;
  pid: number;
  uptimeSeconds: number;
  upgrades: number;
  lastUpgrade: { at: string; ok: boolean; from: string; to?: string; message: string } | null;
}

export interface BinderStatus extends Status {
  sock: string;
  sockets: {
    address: string;
    backlog: number;
    options?: object;
    queue?: object;
    holders: number[];
    mended?: number;
  }[];
  /** Addresses of its command line and its config that it does not hold. */
  missing: string[];
  troubles: { address: string; kind: string; message: string }[];
  wrappers: {
    pid: number;
    uid: number;
    service?: string;
    control?: string | null;
    generations?: { number: number; pid: number; state: string }[];
    lastReload?: { ok: boolean } | null;
  }[];
  clients: number;
  connections: number;
  requests: number;
  errors: number;
}

export interface WrapperStatus extends Status {
  service: string;
  binder: { sock: string; connected: boolean } | null;
  sockets: { address: string }[];
  generations: {
    number: number;
    pid: number;
    state: string;
    ageSeconds?: number;
    connections?: number | null;
  }[];
  lastReload: { at: string; ok: boolean; message: string } | null;
}

/** The pids of the generations that serve, as the wrappers have told their binder. */
export function servers({ wrappers }: BinderStatus): number[] {
  return wrappers.flatMap(({ generations = [] }) => generations)
    .filter(({ state }) => state === "serving").map(({ pid }) => pid);
}

/** Whether a wrapper has a generation that serves. */
export function serves({ generations }: WrapperStatus): boolean {
  return generations.some(({ state }) => state === "serving");
}

/** Runs `multibinder COMMAND --sock SOCK` to its end. */
export function ask(
  command: "status" | "reload" | "stop" | "upgrade",
  sock: string,
  ...args: string[]
): Promise<Exit & { stdout: string; stderr: string }> {
  return runProgram([multibinder(), command, "--sock", sock, ...args]);
}

/** The status of a binder. */
export function binderStatus(sock: string): Promise<BinderStatus> {
  return statusOf(sock);
}

/** The status of a wrapper, at its `--control`. */
export function wrapperStatus(sock: string): Promise<WrapperStatus> {
  return statusOf(sock);
}

async function statusOf<T>(sock: string): Promise<T> {
  const { code, stdout, stderr } = await ask("status", sock, "--json");
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}
