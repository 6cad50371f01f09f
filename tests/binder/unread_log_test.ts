/** A standard error that nobody reads: the binder goes on, and says later what was lost. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { bindOnce, ControlConnection } from "../support/control_client.ts";
import { startProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

/**
 * Starts a program whose standard error is of some kind and is not read. Then, for each line of input: reads
 * for as long as something comes, and prints it.
 */
const SCRIPT = `
import fcntl, os, pty, select, socket, subprocess, sys
kind, *argv = sys.argv[1:]
if kind == "terminal": reader, writer = pty.openpty()
elif kind == "pipe": reader, writer = os.pipe()
else: reader, writer = (s.detach() for s in socket.socketpair())
child = subprocess.Popen(argv, stderr=writer)
for line in sys.stdin:
    while select.select([reader], [], [], 1)[0]:
        sys.stdout.write(os.read(reader, 65536).decode(errors="replace").replace("\\r", ""))
    mode = "blocking" if os.get_blocking(writer) else "changed"
    print("\\nread, and the mode of the descriptor is", mode, flush=True)
`;

/** Times that an address is bound and given up, each a line of the log: more than any of these keeps. */
const TIMES = 2500;

for (const kind of ["terminal", "pipe", "socket"]) {
  Deno.test(`a ${kind} that nobody reads stops nobody`, async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    const address = loopbackHost();
    const addresses = [`${address}:2080`, "--allow", `${address}:2081`];
    const argv = [multibinder(), "bind", "--sock", sock, ...addresses];
    await using program = startProgram(["python3", "-c", SCRIPT, kind, ...argv], {
      stdin: "piped",
      env: { NO_COLOR: "1" },
    });
    await waitForStatus(program, sock, () => true);
    const params = [{ address, port: 2081 }];
    const bindAndUnbind = async (times: number) => {
      using connection = await ControlConnection.open(sock);
      for (let left = times; left > 0; left--) {
        for (const method of ["bind", "unbind"]) {
          await connection.send(JSON.stringify({ method, id: 1, params }));
          assertEquals((await connection.receive())?.error, undefined);
        }
      }
    };
    await bindAndUnbind(TIMES);
    assertEquals((await bindOnce(sock, { address, port: 2080 })).result, true);

    await program.write("look\n");
    await program.waitFor(/mode of the descriptor is blocking/);
    await bindAndUnbind(1);
    await program.write("look\n");
    await program.waitFor(/mode of the descriptor is blocking/, 2);
    const [lost] = await program.waitFor(/^\d+ lines of the log were dropped/);
    const written = program.stdout.match(/ info (?:holding|gave up) address=\S+:2081\b/g)?.length ??
      0;
    assert(Number.parseInt(lost) > 0);
    // But for the one that may have been cut short.
    const missing = 2 * (TIMES + 1) - written - Number.parseInt(lost);
    assert(missing === 0 || missing === 1, `${written} written, ${lost}, ${missing} missing`);
    assertMatch(program.stdout, /^\S+ info gave up .*\n\nread, .*\n*$/m);
  });
}
