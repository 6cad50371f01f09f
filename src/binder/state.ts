/** What a binder hands to its successor. */

import { messageOf } from "../errors.ts";
import {
  COMMON,
  type CommonState,
  controlShape,
  type ControlState,
  descriptor,
  fileShape,
  metricsShape,
  parseRoleState,
} from "../process/state.ts";
import {
  list,
  natural,
  object,
  oneOf,
  orAbsent,
  type Shape,
  ShapeError,
  table,
  text,
  truth,
  whole,
} from "../process/shape.ts";
import {
  type Address,
  formatAddress,
  type InternetAddress,
  numericAddress,
  toParts,
  type UnixAddress,
} from "../sockets/address.ts";
import type { MetricsSocketState } from "../control/metrics_socket.ts";
import type { FileId } from "../sockets/place.ts";
import { MAX_BACKLOG } from "../sockets/socket_options.ts";
import { countersShape, type CountersState } from "./counters.ts";
import type { Lending } from "./ledger.ts";
import type { Rules } from "./options.ts";

/**
 * The format's version; the rule for change stands in `../process/state.ts`. Before 2 the text of an address for
 * both families was `*:80`, and is `[::]:80,v4v6` now.
 */
export const STATE_VERSION = 2;

/** The state, as JSON. Numbers named `fd` are descriptors that stay open across the exec. */
export interface BinderState extends CommonState {
  role: "binder";
  control: ControlState;
  held: HeldState[];
  /** The command line's addresses as written, and what they became (port 0 has become another). */
  own: Record<string, string>;
  /** Addresses that units of systemd have configured; absent in a state from before these were supported. */
  configured?: string[];
  /** What the command line's names mean; absent in a state from before this was handed over. */
  rules?: Rules;
  counters: { connections: number; requests: number; errors: number };
  /** Both are absent in a state from before there were metrics; the socket also where none was asked for. */
  counted?: CountersState;
  metrics?: MetricsSocketState;
}

interface HeldState {
  address: Address;
  fd: number;
  backlog: number;
  file?: FileId;
  /** Both are absent in a state from before they were noted. */
  since?: number;
  lent?: readonly Lending[];
  mended?: number;
}

const port = whole(0, 65535);
/** Of users and groups; the highest of 32 bits means none to chown(2). */
const account = whole(0, 2 ** 32 - 2);

const internetAddress = object<InternetAddress>({
  transport: oneOf("tcp", "udp"),
  host: text(),
  family: oneOf("inet", "inet6", "dual"),
  port,
  interface: orAbsent(text()),
  share: orAbsent(text()),
});

const unixAddress = object<UnixAddress>({
  transport: oneOf("unix"),
  path: text(),
  padded: orAbsent(oneOf(true)),
});

/** An address as it is made by reading one: what a host looks like is known there alone. */
const address: Shape<Address> = (value, at) => {
  const { transport } = object<{ transport: Address["transport"] }>({
    transport: oneOf("tcp", "udp", "unix"),
  })(value, at);
  const found = transport === "unix" ? unixAddress(value, at) : internetAddress(value, at);
  try {
    const again = numericAddress(toParts(found));
    // A host with a scope, such as fe80::1%2, is none that is written in numbers.
    const isScoped = again === undefined && found.transport !== "unix" && found.host.includes("%");
    if (isScoped || again && formatAddress(again) === formatAddress(found)) return found;
  } catch (error) {
    throw new ShapeError(at, `an address (${messageOf(error)})`, value);
  }
  throw new ShapeError(at, "an address that is written in numbers", value);
};

const state = object<BinderState>({
  ...COMMON,
  role: oneOf("binder"),
  control: controlShape,
  held: list(object<HeldState>({
    address,
    fd: descriptor,
    backlog: whole(0, MAX_BACKLOG),
    file: orAbsent(fileShape),
    since: orAbsent(natural),
    lent: orAbsent(list(object<Lending>({
      pid: natural,
      uid: whole(0, 2 ** 32 - 1),
      count: natural,
      last: natural,
    }))),
    mended: orAbsent(natural),
  })),
  own: table(text()),
  configured: orAbsent(list(text())),
  rules: orAbsent(object<Rules>({
    policy: object<Rules["policy"]>({
      everything: truth,
      hosts: list(object<Rules["policy"]["hosts"][number]>({
        host: orAbsent(text()),
        first: port,
        last: port,
      })),
      paths: list(text()),
      options: orAbsent(list(text())),
    }),
    access: object<Rules["access"]>({
      own: account,
      uids: list(account),
      gids: list(account),
      anyone: truth,
      adopters: orAbsent(list(account)),
    }),
    user: orAbsent(object<NonNullable<Rules["user"]>>({
      name: text(),
      uid: account,
      gid: account,
    })),
    owner: object<Rules["owner"]>({ uid: orAbsent(account), gid: orAbsent(account) }),
  })),
  counters: object<BinderState["counters"]>({
    connections: natural,
    requests: natural,
    errors: natural,
  }),
  counted: orAbsent(countersShape),
  metrics: orAbsent(metricsShape),
});

/**
 * Reads a state.
 * @throws {UserError} when it is not one, naming the field, or newer than this program
 */
export function parseState(json: string): BinderState {
  const found = parseRoleState(json, "binder", STATE_VERSION, state);
  if (found.version >= 2) return found;
  const { own, configured, clients } = found;
  return {
    ...found,
    own: Object.fromEntries(Object.entries(own).map(([words, text]) => [words, renamed(text)])),
    ...(configured && { configured: configured.map(renamed) }),
    clients: clients.map((one) => one.holds ? { ...one, holds: one.holds.map(renamed) } : one),
  };
}

/** The text of an address, from what it was before version 2. */
function renamed(text: string): string {
  return text.replace(/^(udp:)?\*:(\d+)$/, "$1[::]:$2,v4v6");
}
