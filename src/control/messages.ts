/**
 * The messages of the control socket: JSON-RPC 2.0 (https://www.jsonrpc.org/specification), as the
 * original multibinder speaks it.
 *
 * A `bind` request names addresses; its answer carries one listening socket for each as ancillary data.
 * One address is answered with `result: true`, several with a list of them.
 * @module
 */

import { UserError } from "../errors.ts";
import { type AddressParts, isUnix, parsePort } from "../sockets/address.ts";
import { MAX_BACKLOG, readOptions } from "../sockets/socket_options.ts";
import { giveTurn } from "../turns.ts";

/** JSON-RPC's own error codes, the original's for a bind that failed, and ours above it. */
export const RPC = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  couldNotBind: 10000,
  notPermitted: 10001,
  failed: 10002,
} as const;

/** What a client names its request by, so that it knows the answer. */
export type RequestId = string | number | null;

/** A request. */
export interface Request {
  id: RequestId;
  method: string;
  params: unknown;
}

/** One address of a bind request; without a backlog it gets the binder's default. */
export type BindParam = AddressParts;

/** The `error` member of an answer. */
export interface RpcErrorBody {
  code: number;
  message: string;
  /** For a bind that failed: errno's name, and the address. */
  data?: { code?: string; address?: string };
}

/** An answer of the binder. */
export interface Answer {
  id: RequestId;
  result?: unknown;
  error?: RpcErrorBody;
}

/** A request that is answered with an error. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly body: RpcErrorBody;

  constructor(code: number, message: string, data?: RpcErrorBody["data"]) {
    super(message);
    this.body = data === undefined ? { code, message } : { code, message, data };
  }
}

/** Characters of a request's id. */
const MAX_ID = 1000;

/**
 * Reads a request. The version member is not insisted on.
 * @throws {RpcError} parse error or invalid request
 */
export function parseRequest(text: string): Request {
  const value = parseObject(text, (why) => new RpcError(RPC.parseError, `Parse error: ${why}`));
  const id = value.id;
  if (typeof value.method !== "string") {
    throw new RpcError(RPC.invalidRequest, "Invalid Request: method must be a string");
  }
  if (id !== undefined && id !== null && typeof id !== "string" && typeof id !== "number") {
    throw new RpcError(RPC.invalidRequest, "Invalid Request: id must be a string or a number");
  }
  // The answer repeats it: a client that never reads would have us keep as much as it likes.
  if (typeof id === "string" && id.length > MAX_ID) {
    throw new RpcError(RPC.invalidRequest, `Invalid Request: id is longer than ${MAX_ID}`);
  }
  return { id: id ?? null, method: value.method, params: value.params };
}

/**
 * Reads the params of a bind request.
 * @throws {RpcError} invalid params, naming the one at fault
 */
export function parseBindParams(params: unknown): [BindParam, ...BindParam[]] {
  if (!Array.isArray(params)) throw invalidParams("params must be a list of addresses");
  const [first, ...rest] = params.map(parseBindParam);
  if (first === undefined) throw invalidParams("params must name at least one address");
  return [first, ...rest];
}

function parseBindParam(value: unknown, index: number): BindParam {
  if (!isObject(value)) throw invalidParams(`params[${index}] must be an object`);
  const { address, backlog, options } = value;
  if (typeof address !== "string") throw invalidParams(`params[${index}].address must be a string`);
  const param: BindParam = { address };
  if (!isUnix(address)) {
    param.port = parsePort(value.port);
    if (param.port === undefined) {
      throw invalidParams(`params[${index}].port must be a number from 0 to 65535`);
    }
  }
  if (backlog !== undefined && backlog !== null) {
    if (typeof backlog !== "number" || !Number.isInteger(backlog) || backlog < 0) {
      throw invalidParams(`params[${index}].backlog must be a whole number of connections`);
    }
    param.backlog = Math.min(backlog, MAX_BACKLOG);
  }
  if (options !== undefined && options !== null) param.options = parseOptions(options, index);
  return param;
}

function parseOptions(value: unknown, index: number): BindParam["options"] {
  const at = `params[${index}].options`;
  if (!isObject(value)) throw invalidParams(`${at} must be an object`);
  if (Object.hasOwn(value, "backlog")) throw invalidParams(`${at}.backlog stands beside options`);
  try {
    return readOptions(value);
  } catch (error) {
    if (error instanceof UserError) throw invalidParams(`${at}: ${error.message}`);
    throw error;
  }
}

/**
 * Reads an answer.
 * @throws {Error} when it is none
 */
export function parseAnswer(text: string): Answer {
  const value = parseObject(text, (why) => new Error(`not an answer of a binder: ${why}`));
  const { id, result, error } = value;
  const answer: Answer = { id: typeof id === "string" || typeof id === "number" ? id : null };
  if (!isObject(error)) return { ...answer, result };
  return {
    ...answer,
    error: {
      code: typeof error.code === "number" ? error.code : 0,
      message: typeof error.message === "string" ? error.message : "unknown error",
      ...(isObject(error.data) ? { data: error.data } : {}),
    },
  };
}

const encoder = new TextEncoder();

/** A message as it goes over the wire. */
export function encodeMessage(message: object): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n";
  return encoder.encode(text) as Uint8Array<ArrayBuffer>;
}

/** Characters of a text that are made into JSON at once. */
const AT_ONCE = 64 * 1024;

/**
 * The answer to a request as it goes over the wire.
 * @param pause called after each piece of a long text; what it returns is waited for
 */
export async function encodeAnswer(
  id: RequestId,
  result: unknown,
  pause: () => Promise<void> | undefined = giveTurn,
): Promise<Uint8Array<ArrayBuffer>> {
  const isLong = typeof result === "string" && result.length > AT_ONCE;
  if (!isLong) return encodeMessage({ id, result });
  const parts = [encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, result: "" }).slice(0, -2))];
  for (let at = 0; at < result.length; at += AT_ONCE) {
    // Half of a character that is cut in two is written as an escape, and so is the other half.
    parts.push(encoder.encode(JSON.stringify(result.slice(at, at + AT_ONCE)).slice(1, -1)));
    await pause();
  }
  return joined([...parts, encoder.encode('"}\n')]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function parseObject(text: string, fail: (why: string) => Error): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : "invalid JSON");
  }
  if (!isObject(value)) throw fail("not an object");
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalidParams(why: string): RpcError {
  return new RpcError(RPC.invalidParams, `Invalid params: ${why}`);
}
