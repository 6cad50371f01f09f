/** Whether systemd keeps a binder's sockets across a restart of its service (systemd.service(5)). */

import { type Finding, fine } from "../finding.ts";

const CHECK = "fd_store";

/** Properties that `systemctl show` is asked for. */
export const PROPERTIES = [
  "MainPID",
  "FileDescriptorStoreMax",
  "FileDescriptorStorePreserve",
] as const;

/** The system's service that a process belongs to, from its /proc/PID/cgroup; undefined for none. */
export function serviceOf(cgroup: string): string | undefined {
  return /:\/(?:[^\n]*\/)?system\.slice\/(?:[^\n]*\/)?([^/\n]+\.service)(?:\/[^\n]*)?$/m.exec(
    cgroup,
  )?.[1];
}

/**
 * Looks at a service's store.
 * @param pid of the process that is looked at
 * @param shown what `systemctl show` says of {@link PROPERTIES}, a line each
 * @param sockets how many are to be stored
 * @returns undefined for a unit of another systemd: one in a container has units of the same names
 */
export function examineStore(
  unit: string,
  shown: string,
  sockets: number,
  pid: number,
): Finding | undefined {
  const property = (name: typeof PROPERTIES[number]) =>
    new RegExp(`^${name}=(.*)$`, "m").exec(shown)?.[1];
  const max = property("FileDescriptorStoreMax");
  if (max === undefined) {
    return {
      check: CHECK,
      level: "unknown",
      message: `systemctl does not show the store of ${unit}`,
    };
  }
  if (Number(property("MainPID")) !== pid) return undefined;
  // Absent before systemd 254, which has no other behaviour than this one.
  const preserve = property("FileDescriptorStorePreserve") ?? "restart";
  const remedy = (line: string) =>
    `write ${line} into the unit (systemctl edit ${unit}), and restart it once`;
  if (Number(max) < sockets) {
    return {
      check: CHECK,
      level: "failure",
      message:
        `FileDescriptorStoreMax of ${unit} is ${max}, and ${sockets} sockets are held: the rest are gone ` +
        "after a restart or crash of the binder, unless wrappers hand them back",
      remedy: remedy(`FileDescriptorStoreMax=${Math.max(4096, 2 * sockets)}`),
    };
  }
  if (preserve === "no") {
    return {
      check: CHECK,
      level: "failure",
      message:
        `FileDescriptorStorePreserve of ${unit} is "no": a restart gives up the stored sockets`,
      remedy: remedy("FileDescriptorStorePreserve=restart"),
    };
  }
  return fine(
    CHECK,
    `${unit} stores up to ${max} sockets (FileDescriptorStorePreserve: ${preserve})`,
  );
}
