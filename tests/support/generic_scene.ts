/** A server that multibinder does not know: Python, run by a wrapper on a socket that is named. */

import { Wrapper } from "./haproxy.ts";
import { get, newTarget } from "./http_client.ts";
import { tempDir } from "./temp_dir.ts";

/** Python that answers each connection with what it was given, after `before`; then it does `after`. */
export const ANSWER = (before: string, after = "") => `
import json, os, socket, sys, time
def notify(text):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
    sock.send(text.encode())
listener = socket.socket(fileno=3)
${before}
told = {name: value for name, value in os.environ.items() if name.startswith(("LISTEN_", "FD_"))}
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1]
body = json.dumps({"pid": os.getpid(), "told": told, "words": sys.argv[1:], "fds": fds}).encode()
while True:
    client, _ = listener.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    client.close()
    ${after}
`;

/** What such a server was given, as it answers. */
export interface Given {
  pid: number;
  told: Record<string, string>;
  words: string[];
  fds: number[];
}

/** A wrapper that runs such a script. */
export class Scene implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly target = newTarget();
  readonly path: string;
  readonly wrapper: Wrapper;

  constructor(sock: string, script: string, args: string[] = [], words: string[] = []) {
    this.path = this.#resources.use(tempDir()).file("server.py");
    this.script = script;
    const { hostname, port } = this.target;
    this.wrapper = this.#resources.use(
      new Wrapper("", {
        sock,
        args: ["--listen", `http=${hostname}:${port}`, ...args],
        command: ["python3", this.path, ...words],
      }),
    );
  }

  /** What the next generation runs. */
  set script(text: string) {
    Deno.writeTextFileSync(this.path, text);
  }

  /** Asks the server what it was given. */
  async given(): Promise<Given> {
    return JSON.parse(await get(this.target));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}
