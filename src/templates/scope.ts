/** What the code of a template sees: `bind_tcp`, `bind` and `ENV`. */

import { messageOf } from "../errors.ts";
import { readOptions, type SocketOptions } from "../sockets/socket_options.ts";

/** What a call of `bind` asked for. */
export interface SocketRequest {
  /** As written, not yet parsed: `0.0.0.0:80`, `[::1]:80`, `:80,:443`, `unix:/run/x.sock`. */
  address: string;
  /** Of each of its addresses, besides those that the text names. */
  options?: SocketOptions;
}

/** What `bind` threw, thrown again within the template so that its stack tells the line. */
export class Refused extends Error {
  constructor(override readonly cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause));
  }
}

/**
 * The names in scope. Their functions throw what is wrong with a call, and {@link Refused}.
 * @param env what the template sees as `ENV`
 * @param bind see `RenderOptions` of render.ts
 * @returns also `ENV.fetch`, which a variable of that name hides
 */
export function scopeOf(env: Record<string, string>, bind: (request: SocketRequest) => string) {
  const ask = (request: SocketRequest): string => {
    try {
      return bind(request);
    } catch (cause) {
      throw new Refused(cause);
    }
  };
  const { ENV, fetch } = environment(env);
  const names = {
    ...ETA,
    ENV,
    bind(address: unknown, options?: unknown): string {
      if (typeof address !== "string" || address === "") {
        throw new TypeError(`bind: address must be a string like ':80', not ${shown(address)}`);
      }
      return ask(request("bind", address, options));
    },
    bind_tcp(ip: unknown, port: unknown, options?: unknown): string {
      if (typeof ip !== "string") {
        throw new TypeError(`bind_tcp: ip must be a string like '0.0.0.0', not ${shown(ip)}`);
      }
      const number = typeof port === "string" && /^\s*\d+\s*$/.test(port) ? Number(port) : port;
      if (typeof number !== "number" || !Number.isInteger(number) || number < 0) {
        throw new TypeError(`bind_tcp: port must be a number, not ${shown(port)}`);
      }
      const host = ip.includes(":") && !ip.startsWith("[") ? `[${ip}]` : ip;
      return ask(request("bind_tcp", `${host}:${number}`, options));
    },
  };
  return { names, fetch };
}

function request(caller: string, address: string, options: unknown): SocketRequest {
  if (options === undefined) return { address };
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`${caller}: options must be like { backlog: 100 }, not ${shown(options)}`);
  }
  try {
    return { address, options: readOptions(options as Record<string, unknown>) };
  } catch (error) {
    throw new TypeError(`${caller}: ${messageOf(error)}`);
  }
}

function shown(value: unknown): string {
  return typeof value === "string" ? `'${value}'` : String(value);
}

/** The environment as an object that a template may change, and in which nothing but variables is found. */
function environment(env: Record<string, string>) {
  const fetch = (name: string, ...fallback: unknown[]): unknown => {
    if (Object.hasOwn(ENV, name)) return ENV[name];
    if (fallback.length > 0) return fallback[0];
    throw new Error(`ENV has no '${name}'`);
  };
  const ENV: Record<string, unknown> = Object.assign(
    Object.create({ __proto__: null, fetch }),
    env,
  );
  return { ENV, fetch };
}

/**
 * What Eta's compiled code has in scope, for layouts, blocks and includes. A config has no use for it:
 * HAProxy takes several -f files. If a template could reach them, each would fail with a riddle, or print nothing.
 */
const ETA = Object.fromEntries(
  [
    "include",
    "includeAsync",
    "layout",
    "block",
    "blockAsync",
    "capture",
    "captureAsync",
    "output",
    "options",
  ].map((name) => [name, unsupported(name)]),
);

/** A function that cannot be used in any way. */
function unsupported(name: string): unknown {
  const refuse = function () {
    throw new Error(`Eta's ${name} is not supported; multibinder templates have no layouts`);
  };
  return new Proxy(refuse, { get: refuse, apply: refuse, construct: refuse });
}
