/**
 * Checks what `ffi/` says about C against the C headers, for each supported processor: sizes and offsets of
 * structs, values of constants, signals and errno, and the prototypes of functions with the types that
 * Deno is told. A compiler reads the claims as static assertions; nothing is run.
 *
 *     deno run --allow-all scripts/check/layouts.ts
 */
import * as constantsModule from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import { LAYOUT } from "../../ffi/layout.ts";
import { MAX_UNIX_PATH } from "../../ffi/sockaddr.ts";
import { symbols } from "../../ffi/symbols.ts";

const PROCESSORS = [
  { name: "x86_64", compiler: "cc", packages: "gcc libc6-dev" },
  {
    name: "aarch64",
    compiler: "aarch64-linux-gnu-gcc",
    packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
  },
];

const HEADERS = [
  "arpa/inet.h dirent.h errno.h fcntl.h grp.h linux/netlink.h linux/sock_diag.h linux/sockios.h linux/unix_diag.h netdb.h netinet/in.h netinet/tcp.h poll.h pwd.h sched.h",
  "signal.h spawn.h stddef.h string.h sys/epoll.h sys/eventfd.h sys/file.h sys/inotify.h sys/ioctl.h sys/mman.h sys/resource.h",
  "sys/socket.h sys/stat.h sys/uio.h",
  "sys/syscall.h sys/un.h sys/wait.h time.h unistd.h",
].flatMap((line) => line.split(" "));

/** Constants that no header for programs has, and the place in the kernel that defines them. */
const KERNEL_CONSTANTS: Record<string, string> = {
  SCM_MAX_FD: "include/net/scm.h",
  SO_PASSRIGHTS: "include/uapi/asm-generic/socket.h of Linux 6.16",
};

/** The FFI type of each C type that is no pointer; the compiler checks its size and sign as well. */
const SCALARS: Record<string, keyof typeof FFI_SCALARS> = {
  "clockid_t": "i32",
  "gid_t": "u32",
  "int": "i32",
  "long": "i64",
  "short": "i16",
  "unsigned long": "u64",
  "unsigned int": "u32",
  "mode_t": "u32",
  "nfds_t": "usize",
  "off_t": "i64",
  "pid_t": "i32",
  "size_t": "usize",
  "socklen_t": "u32",
  "ssize_t": "isize",
  "uid_t": "u32",
};

/** Bytes of an FFI type, and whether it has a sign. */
const FFI_SCALARS = {
  i16: { size: 2, signed: true },
  i32: { size: 4, signed: true },
  u32: { size: 4, signed: false },
  i64: { size: 8, signed: true },
  u64: { size: 8, signed: false },
  isize: { size: 8, signed: true },
  usize: { size: 8, signed: false },
};

/** With _GNU_SOURCE the headers give these an enum where POSIX (and the documentation) has an int. */
const POSIX_PROTOTYPES = ["getrlimit", "setrlimit"];

/** What was found so far, first what needs no compiler. */
const mismatches: string[] = [];

/** An entry of LAYOUT has the name of a struct, or of a type that ends in `_t`. */
function structAssertions(): string[] {
  return Object.entries(LAYOUT).flatMap(([name, layout]) => {
    const type = name.endsWith("_t") ? name : `struct ${name}`;
    return Object.entries(layout).map(([field, value]) =>
      assertion(
        field === "size" ? `sizeof(${type})` : `offsetof(${type}, ${field})`,
        value,
        `${name}.${field}`,
      )
    );
  });
}

function constantAssertions(): string[] {
  const { SIGNALS, ...constants } = constantsModule;
  const values: [string, unknown][] = [...Object.entries(constants), ...Object.entries(SIGNALS)];
  const assertions = values.flatMap(([name, value]) => {
    if (typeof value === "number") {
      // The kernel writes the names of its calls in small letters.
      const inC = name.replace(/^SYS_\w+$/, (call) => `SYS_${call.slice(4).toLowerCase()}`);
      return name in KERNEL_CONSTANTS ? [] : assertion(inC, value, name);
    }
    mismatches.push(`${name}: not a number, nothing compares it`);
    return [];
  });
  const longest = "sizeof(((struct sockaddr_un *)0)->sun_path) - 1";
  return [...assertions, assertion(longest, MAX_UNIX_PATH, "MAX_UNIX_PATH")];
}

function errnoAssertions(): string[] {
  return Array.from({ length: 4096 }, (_, errno) => new SystemError("", errno))
    .filter(({ code }) => code.startsWith("E"))
    .map(({ errno, code }) => assertion(code, errno, code));
}

function scalarAssertions(): string[] {
  return Object.entries(SCALARS).flatMap(([type, ffi]) => {
    const { size, signed } = FFI_SCALARS[ffi];
    return [
      assertion(`sizeof(${type})`, size, `size of ${type}`),
      assertion(`(${type})-1 < (${type})1`, signed ? 1 : 0, `sign of ${type}`),
    ];
  });
}

function assertion(expression: string, value: number, name: string): string {
  const message = `${name}: we say ${value}, the header says otherwise`;
  return `_Static_assert((${expression}) == ${value}, "${message}");`;
}

/** The C declarations in the comments of symbols.ts, by function. */
function declarations(): Map<string, string> {
  const source = Deno.readTextFileSync(new URL("../../ffi/symbols.ts", import.meta.url));
  const found = new Map<string, string>();
  for (const [, comment = "", name = ""] of source.matchAll(/((?:^ *\/\/.*\n)+) *(\w+): \{/gm)) {
    found.set(name, comment.replace(/^ *\/\/ ?/gm, "").replace(/\s+/g, " ").trim());
  }
  return found;
}

/** Compares the types that Deno is told with a C declaration. */
function compareTypes(entry: string, symbol: Deno.ForeignFunction, declaration: string): void {
  const [, head = "", list = ""] = /^(.*?)\((.*)\)$/.exec(declaration) ?? [];
  const expected = list === "void" ? [] : list.split(",").map((parameter) => parameter.trim());
  const variadic = expected.at(-1) === "...";
  if (variadic) expected.pop();
  const given = symbol.parameters;
  if (variadic ? given.length < expected.length : given.length !== expected.length) {
    mismatches.push(`${entry}: ${given.length} parameters, not as in ${declaration}`);
  }
  const compare = (what: string, type: unknown, accepted: string[]) => {
    if (accepted.includes(String(type))) return;
    mismatches.push(`${entry}: we say ${type}, C has ${what} in ${declaration}`);
  };
  compare(head, symbol.result, head.startsWith("void ") ? ["void"] : ffiTypes(head, ["pointer"]));
  expected.forEach((parameter, index) =>
    compare(parameter, given[index], ffiTypes(parameter, ["buffer", "pointer"]))
  );
}

/** The FFI types that fit a C declarator such as `const char *path` or `size_t count`. */
function ffiTypes(declarator: string, pointers: string[]): string[] {
  // glibc's name for a pointer to a signal handler.
  if (/[*[]|^sighandler_t /.test(declarator)) return pointers;
  const type = SCALARS[declarator.replace(/ \w+$/, "")];
  return type === undefined ? [] : [type];
}

/** Declares each function again, which a compiler refuses when the types differ from the header's. */
function prototypes(): Map<string, string> {
  const declared = declarations();
  const table: Deno.ForeignLibraryInterface = symbols;
  const checked = new Map<string, string>();
  for (const [entry, symbol] of Object.entries(table)) {
    const name = symbol.name ?? entry;
    const declaration = declared.get(name);
    if (!declaration?.includes(`${name}(`) || !("parameters" in symbol)) {
      mismatches.push(`${entry}: no C declaration of ${name} above it`);
      continue;
    }
    compareTypes(entry, symbol, declaration);
    // The first line fails for a function that no header declares.
    checked.set(name, `typedef __typeof__(&${name}) header_${name};\n${declaration};`);
  }
  return checked;
}

/** What a compiler has to say against a program text; nothing when it agrees. */
async function complaints(
  { compiler, packages }: typeof PROCESSORS[number],
  lines: Iterable<string>,
  standard: string[],
): Promise<string[]> {
  const includes = HEADERS.map((header) => `#include <${header}>`);
  const command = new Deno.Command(compiler, {
    args: ["-fsyntax-only", "-x", "c", ...standard, "-"],
    env: { LC_ALL: "C" },
    stdin: "piped",
    stderr: "piped",
  });
  let child: Deno.ChildProcess;
  try {
    child = command.spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [`${compiler} is missing, the Debian packages are ${packages}`];
  }
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode([...includes, ...lines, ""].join("\n")));
  await input.close();
  const { success, stderr } = await child.output();
  if (success) return [];
  const text = new TextDecoder().decode(stderr);
  const errors = [...text.matchAll(/error: (?:static assertion failed: "(.*)"|(.*))/g)]
    .map(([, assertion, other = ""]) =>
      assertion ??
        (/No such file/.test(other) ? `${other}, the Debian packages are ${packages}` : other)
    );
  return errors.length > 0 ? errors : [text];
}

if (import.meta.main) {
  const parts = {
    "sizes and offsets": structAssertions(),
    "constants": constantAssertions(),
    "errno values": errnoAssertions(),
    "sizes and signs of types": scalarAssertions(),
  };
  const functions = [...prototypes()];
  const isPosix = ([name]: [string, string]) => POSIX_PROTOTYPES.includes(name);
  const code = (chosen: [string, string][]) => chosen.map(([, text]) => text);
  const gnu = [...Object.values(parts).flat(), ...code(functions.filter((f) => !isPosix(f)))];
  const posix = code(functions.filter(isPosix));

  const counts = Object.entries(parts).map(([name, lines]) => `${lines.length} ${name}`);
  const summary = [...counts, `${functions.length} prototypes`].join(", ");
  for (const processor of PROCESSORS) {
    const found = [
      ...await complaints(processor, gnu, ["-std=gnu11", "-D_GNU_SOURCE"]),
      ...await complaints(processor, posix, ["-std=c11", "-D_POSIX_C_SOURCE=200809L"]),
    ];
    mismatches.push(...new Set(found.map((line) => `${processor.name}: ${line}`)));
    // deno-lint-ignore no-console
    console.log(`${processor.name}: ${summary}: ${found.length === 0 ? "agree" : "see below"}`);
  }
  for (const [name, place] of Object.entries(KERNEL_CONSTANTS)) {
    // deno-lint-ignore no-console
    console.log(`not compared: ${name}, which only the kernel's ${place} has`);
  }
  // deno-lint-ignore no-console
  for (const mismatch of mismatches) console.error(mismatch);
  if (mismatches.length > 0) Deno.exit(1);
}
