/** What the command line says, and what its names mean. */

import { effectiveUid } from "../../ffi/process.ts";
import { account, groupId, userId } from "../accounts.ts";
import { resolveAddress, splitAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import type { Owner } from "../control/control_socket.ts";
import { type AccessRules, accessRules } from "./access.ts";
import type { Holder } from "../sockets/taken_sockets.ts";
import { parsePatterns, type PolicyRules } from "./policy.ts";

/** What the command line says. */
export interface BinderOptions {
  /** To bind at the start, as written. */
  addresses: readonly string[];
  /** Path of the control socket. */
  sock: string;
  /** Permission bits of the control socket. */
  mode: number;
  /** Whom to become once the addresses are bound. */
  user?: string;
  owner?: string;
  group?: string;
  /** Users and groups that may connect besides root, the binder's own user, `owner` and `group`. */
  allowUid: readonly string[];
  allowGid: readonly string[];
  /** Users who may hand sockets back as well. */
  adoptUid: readonly string[];
  /** Length of an accept queue that no request asks a length for. */
  backlog: number;
  /** Milliseconds for which clients may wait at an address that nobody serves before there is a warning. */
  unservedAfter: number;
  /** Patterns of addresses that clients may ask for besides `addresses`. */
  allow: readonly string[];
  /** Whether the config has `addresses` or `allow`, be it an empty list: what neither names is not allowed then. */
  hasLists?: boolean;
  /** Address at which metrics are to be read. */
  metrics?: string;
  /** Milliseconds after which a socket is given up that nothing uses. */
  releaseUnused?: number;
  /** Whose sockets to take over for the addresses that are not held yet. */
  take?: Holder;
  /** Options that are for the trusted, and that all clients may ask for here. */
  allowOption: readonly string[];
}

/** Options that a reload leaves as they are: only a restart changes them. */
export const FIXED = [
  "sock",
  "mode",
  "user",
  "owner",
  "group",
  "backlog",
  "unservedAfter",
  "metrics",
  "releaseUnused",
  "take",
] as const;

/**
 * What the names in the options mean, looked up once. A successor gets this, so that a name which means nothing
 * any more does not keep it from going on.
 */
export interface Rules {
  policy: PolicyRules;
  access: AccessRules;
  user?: { name: string; uid: number; gid: number };
  owner: Owner;
}

/**
 * Checks what can be checked before anything is bound: names, patterns, and the addresses.
 * @throws {UserError} what is wrong, with the text that is
 */
export async function checkOptions(options: BinderOptions): Promise<void> {
  await lookUpNames(options, []);
  for (const written of options.addresses.flatMap((one) => expandAddresses(one))) {
    await resolveAddress(splitAddress(written));
  }
}

/**
 * Looks the names up.
 * @param configured addresses that units of systemd have configured
 * @throws {UserError} for a name that is not known, or a malformed pattern
 */
export async function lookUpNames(
  options: BinderOptions,
  configured: readonly string[],
): Promise<Rules> {
  // Whoever lists what clients may ask for does not mean everything else as well.
  const isOpen = !options.hasLists &&
    [...options.addresses, ...configured, ...options.allow].length === 0;
  const patterns = await parsePatterns(isOpen ? ["*"] : options.allow);
  const policy = { ...patterns, options: options.allowOption };
  const user = options.user === undefined ? undefined : account(options.user);
  const { owner = user && String(user.uid), group } = options;
  return {
    policy,
    access: accessRules({
      uids: [...options.allowUid, ...owner === undefined ? [] : [owner]],
      gids: [...options.allowGid, ...group === undefined ? [] : [group]],
      adopters: options.adoptUid,
    }, user?.uid ?? effectiveUid()),
    ...(user && { user }),
    owner: {
      ...(owner !== undefined && { uid: userId(owner) }),
      ...(group !== undefined && { gid: groupId(group) }),
    },
  };
}
