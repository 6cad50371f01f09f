/**
 * The `listen` lines of an nginx config (nginx.org/en/docs/http/ngx_http_core_module.html#listen), compared
 * with the sockets that nginx inherits. It takes an inherited socket for the line with the same address, binds
 * a line without a socket by itself, and closes a socket without a line.
 * @module
 */

import { UserError } from "../../errors.ts";
import { type Address, numericAddress, splitAddress } from "../../sockets/address.ts";
import { expandAddresses } from "../../sockets/address_list.ts";

/** A statement of a config: its words, and where it stands. */
interface Statement {
  words: readonly string[];
  at: string;
  /** The names of the blocks around it. */
  blocks: readonly string[];
}

/** What a config says that matters here. */
export interface NginxConfig {
  listens: Listen[];
  /** Where nginx writes its pid, if the config says so. */
  pidFile?: string;
  /** After which workers that are told to finish are ended, if the config says so. */
  shutdownTimeout?: string;
}

/** One address that nginx listens on. */
export interface Listen {
  /** File and line. */
  at: string;
  /** As the line has it. */
  text: string;
  /** Undefined for a host name. */
  key: string | undefined;
  /** Each worker binds one of its own. */
  reuseport: boolean;
}

/** Reads what `nginx -T` prints: each file after a line with its name. */
export function readConfig(dump: string): NginxConfig {
  const statements = statementsOf(dump);
  const listens = statements.flatMap((statement): Listen[] => {
    const [name, address = "", ...parameters] = statement.words;
    if (name === "listen") return listensOf(statement, address, parameters);
    // A server without such a line has port 80, if nginx is started by root.
    const isBare = name === "server" && statement.blocks.at(-1) === "http";
    return isBare && !hasListen(statements, statement)
      ? listensOf({ ...statement, words: ["server"] }, "80", [])
      : [];
  });
  const valueOf = (directive: string) =>
    statements.find(({ words, blocks }) => words[0] === directive && blocks.length === 0)?.words[1];
  const pidFile = valueOf("pid");
  const shutdownTimeout = valueOf("worker_shutdown_timeout");
  return {
    listens,
    ...(pidFile !== undefined && { pidFile }),
    ...(shutdownTimeout !== undefined && { shutdownTimeout }),
  };
}

/** Whether there is a listen line in the block that a statement begins. */
function hasListen(statements: readonly Statement[], block: Statement): boolean {
  const depth = block.blocks.length;
  for (const { words, blocks } of statements.slice(statements.indexOf(block) + 1)) {
    if (blocks.length <= depth) return false;
    if (words[0] === "listen") return true;
  }
  return false;
}

function listensOf({ at, words }: Statement, address: string, parameters: string[]): Listen[] {
  const text = words.join(" ");
  const isDatagram = parameters.includes("udp") || parameters.includes("quic");
  const reuseport = parameters.includes("reuseport");
  let written = address;
  if (/^[\d-]+$/.test(written)) written = `*:${written}`;
  else if (!written.startsWith("unix:") && !/:[\d-]+$/.test(written)) written += ":80";
  try {
    return expandAddresses(`${isDatagram ? "udp:" : ""}${written.replace(/^\*:/, "0.0.0.0:")}`)
      .map((one) => ({ at, text, key: keyOf(numericAddress(splitAddress(one))), reuseport }));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [{ at, text, key: undefined, reuseport }]; // nginx understands more than we do.
  }
}

/** What nginx compares sockets by; whether one for IPv6 is for IPv4 as well is no part of it. */
export function keyOf(address: Address | undefined): string | undefined {
  if (address === undefined) return undefined;
  if (address.transport === "unix") return `unix ${address.path}`;
  const host = address.family === "dual" ? "::" : address.host;
  return `${address.transport} ${address.family === "inet" ? 4 : 6} ${host} ${address.port}`;
}

/** The listen lines for which nginx needs a socket and has none. */
export function unservedLines(listens: readonly Listen[], sockets: ReadonlySet<string>): Listen[] {
  const isWild = (key: string) => / (0\.0\.0\.0|::) \d+$/.test(key);
  const wild = new Set(listens.flatMap(({ key }) => key !== undefined && isWild(key) ? [key] : []));
  return listens.filter(({ key }) => {
    if (key === undefined || sockets.has(key)) return false;
    // nginx binds every address at once, and tells the lines apart by the connection's own address.
    const every = key.replace(
      /^(\w+ [46]) \S+ /,
      (_, kind) => `${kind} ${kind.endsWith("4") ? "0.0.0.0" : "::"} `,
    );
    return every === key || !wild.has(every);
  });
}

/** The statements of a config in their order, with those that begin a block. */
function statementsOf(dump: string): Statement[] {
  const statements: Statement[] = [];
  const blocks: string[] = [];
  let file = "";
  let line = 0;
  let words: string[] = [];
  let start = 0;
  const end = () => {
    if (words.length > 0) statements.push({ words, at: `${file}:${start}`, blocks: [...blocks] });
    const [name = ""] = words;
    words = [];
    return name;
  };
  for (const [token] of dump.matchAll(TOKEN)) {
    if (token === "\n") line++;
    else if (token.startsWith("#")) {
      const name = /^# configuration file (.+):$/.exec(token)?.[1];
      if (name === undefined) continue;
      file = name;
      line = 0;
    } else if (token === ";") end();
    else if (token === "{") blocks.push(end());
    else if (token === "}") blocks.pop();
    else {
      if (words.length === 0) start = line;
      words.push(/^["']/.test(token) ? token.slice(1, -1) : token);
      line += token.split("\n").length - 1;
    }
  }
  return statements;
}

/** A new line, a comment, a word in quotes, a mark of punctuation, or a word. */
const TOKEN = /\n|#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[;{}]|(?:\$\{\w+\}|\\.|[^\s;{}])+/gs;
