/** Acting as another user, within this process. */

/** The user and group "nobody" of Debian; any that owns no file does. */
const NOBODY = 65534;

/**
 * Runs `action` with a stranger's permissions on files. Only root needs this: everybody else is refused
 * by a file of mode 0.
 */
export function asStranger<T>(action: () => T): T {
  if (Deno.uid() !== 0) return action();
  // setfsuid(2): root's power over files goes with it, for this thread alone.
  const libc = Deno.dlopen("libc.so.6", { setfsuid: { parameters: ["u32"], result: "i32" } });
  libc.symbols.setfsuid(NOBODY);
  try {
    return action();
  } finally {
    libc.symbols.setfsuid(0);
    libc.close();
  }
}

/** Runs `action` with another effective user id, which a socket that it makes, or makes listen, keeps. */
export function asUser<T>(uid: number, action: () => T): T {
  const libc = Deno.dlopen("libc.so.6", { seteuid: { parameters: ["u32"], result: "i32" } });
  const become = (uid: number) => {
    if (libc.symbols.seteuid(uid) !== 0) throw new Error(`cannot become uid ${uid}`);
  };
  become(uid);
  try {
    return action();
  } finally {
    become(0);
    libc.close();
  }
}
