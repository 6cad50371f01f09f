/**
 * Real servers, each with a small site: every request is answered with a word, and a request for /slow with
 * what a backend answers when a test lets it.
 */

import type { Target } from "./http_client.ts";

/** What a server is to serve. */
export interface Site {
  /** The answer to a request. */
  reply: string;
  /** Port of the backend on 127.0.0.1 that a request for /slow is passed on to. */
  backend: number;
  listen: Target;
  /** Path of the folder with its files. */
  folder: string;
}

/** A server under test. */
export interface TestServer {
  name: string;
  /** The program that must be there. */
  program: string;
  /** Its files, by their names. */
  files(site: Site): Record<string, string>;
  /** Its command line, with a socket named http. */
  command(site: Site): string[];
  /** Options of `exec` that it needs. */
  options?: readonly string[];
  /** How long it must have stayed up to be up, where it gives no sign; the time that it takes to come up. */
  settle?: string;
  /**
   * As it stops it closes connections that it has accepted and whose request it has not read: such a client
   * sees a reset or an early end, with any way to replace the server.
   */
  dropsAccepted?: true;
  /** It waits in accept(), and not for the news that there is a connection. */
  blocks?: true;
}

/** A WSGI application, for Python's servers of such. */
const WSGI = (reply: string, backend: number) => `
import urllib.request

def app(environ, start_response):
    body = b"${reply}"
    if environ["PATH_INFO"] == "/slow":
        body = urllib.request.urlopen("http://127.0.0.1:${backend}/").read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
`;

const ASGI = (reply: string, backend: number) => `
import asyncio, urllib.request

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b"${reply}"
    if scope["path"] == "/slow":
        loop = asyncio.get_running_loop()
        url = "http://127.0.0.1:${backend}/"
        body = await loop.run_in_executor(None, lambda: urllib.request.urlopen(url).read())
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})
`;

const RACK = (reply: string, backend: number) => `
require "net/http"
run ->(env) do
  body = "${reply}"
  body = Net::HTTP.get("127.0.0.1", "/", ${backend}) if env["PATH_INFO"] == "/slow"
  [200, { "Content-Length" => body.bytesize.to_s }, [body]]
end
`;

const NODE = (reply: string, backend: number) => `
const http = require("http");
const server = http.createServer((request, response) => {
  if (request.url !== "/slow") return response.end("${reply}");
  http.get("http://127.0.0.1:${backend}/", (answer) => {
    response.setHeader("Content-Length", answer.headers["content-length"]);
    answer.pipe(response);
  });
});
server.listen({ fd: Number(process.argv[2]) });
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
`;

/** Python's own server on a descriptor, or, for a comparison, on an address that it shares with others. */
const PYTHON = (reply: string, backend: number) => `
import os, signal, socket, sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    def do_GET(self):
        body = b"${reply}"
        if self.path == "/slow":
            body = urllib.request.urlopen("http://127.0.0.1:${backend}/").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads = False
    def handle_error(self, *_):
        pass

server = Server(("", 0), Handler, bind_and_activate=False)
server.socket.close()
if sys.argv[1] == "--port":
    server.socket = socket.socket()
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.socket.bind((sys.argv[2], int(sys.argv[3])))
    server.socket.listen(1000)
else:
    server.socket = socket.socket(fileno=int(sys.argv[1]))
server.socket.setblocking(False)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
if ready := os.environ.get("FD_READY"):
    os.write(int(ready), b"up\\n")
server.serve_forever(0.02)
server.server_close()
`;

const NGINX = ({ reply, backend, listen, folder }: Site) => `
worker_processes 2;
pid ${folder}/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen ${listen.hostname}:${listen.port};
    location / { return 200 "${reply}"; }
    location /slow { proxy_pass http://127.0.0.1:${backend}; }
  }
}
`;

const LIGHTTPD = ({ reply, backend, listen, folder }: Site) => `
server.modules = ("mod_proxy")
server.systemd-socket-activation = "enable"
server.bind = "${listen.hostname}"
server.port = ${listen.port}
server.document-root = "${folder}"
server.upload-dirs = ("${folder}")
index-file.names = ("${reply}.txt")
mimetype.assign = (".txt" => "text/plain")
$HTTP["url"] == "/slow" { proxy.server = ("" => (("host" => "127.0.0.1", "port" => ${backend}))) }
`;

const CADDYFILE = ({ reply, backend, listen, folder }: Site) => `
{
  admin off
  auto_https off
  persist_config off
  storage file_system ${folder}
}
http://:${listen.port} {
  bind fd/{$FD_HTTP}
  handle /slow {
    reverse_proxy 127.0.0.1:${backend}
  }
  respond "${reply}"
}
`;

const HAPROXY = ({ reply, backend }: Site) => `
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend site
  bind "fd@\${FD_HTTP}"
  http-request return status 200 content-type text/plain string ${reply} if !{ path /slow }
  default_backend slow
backend slow
  server slow 127.0.0.1:${backend}
`;

/** Each server, once. */
export const SERVERS: readonly TestServer[] = [
  {
    name: "haproxy, without a template",
    program: "haproxy",
    files: (site) => ({ "site.cfg": HAPROXY(site) }),
    command: ({ folder }) => ["haproxy", "-f", `${folder}/site.cfg`],
  },
  {
    name: "nginx",
    program: "nginx",
    files: (site) => ({ "nginx.conf": NGINX(site) }),
    command: ({ folder }) => ["nginx", "-c", `${folder}/nginx.conf`],
  },
  {
    name: "lighttpd",
    program: "lighttpd",
    files: (site) => ({ "lighttpd.conf": LIGHTTPD(site), [`${site.reply}.txt`]: site.reply }),
    command: ({ folder }) => ["lighttpd", "-D", "-f", `${folder}/lighttpd.conf`],
  },
  {
    name: "gunicorn",
    program: "gunicorn",
    files: ({ reply, backend }) => ({ "app.py": WSGI(reply, backend) }),
    command: () => ["gunicorn", "--threads", "4", "app:app"],
  },
  {
    name: "gunicorn, with {NAME}",
    program: "gunicorn",
    files: ({ reply, backend }) => ({ "app.py": WSGI(reply, backend) }),
    command: () => ["gunicorn", "--bind", "fd://{http}", "--threads", "4", "app:app"],
  },
  {
    name: "uvicorn",
    program: "uvicorn",
    files: ({ reply, backend }) => ({ "app.py": ASGI(reply, backend) }),
    command: () => ["uvicorn", "--fd", "{http}", "--no-access-log", "app:app"],
    dropsAccepted: true,
  },
  {
    name: "puma",
    program: "puma",
    files: ({ reply, backend }) => ({ "config.ru": RACK(reply, backend) }),
    command: ({ listen }) => ["puma", "--bind", `tcp://${listen.hostname}:${listen.port}`],
    dropsAccepted: true,
  },
  {
    name: "unicorn",
    program: "unicorn",
    files: ({ reply, backend }) => ({ "config.ru": RACK(reply, backend) }),
    command: ({ listen }) => ["unicorn", "-l", `${listen.hostname}:${listen.port}`],
    settle: "1s",
  },
  {
    name: "node",
    program: "node",
    files: ({ reply, backend }) => ({ "server.js": NODE(reply, backend) }),
    command: ({ folder }) => ["node", `${folder}/server.js`, "{http}"],
    options: ["--ready-poll"],
  },
  {
    name: "python",
    program: "python3",
    files: ({ reply, backend }) => ({ "server.py": PYTHON(reply, backend) }),
    command: ({ folder }) => ["python3", `${folder}/server.py`, "{http}"],
    options: ["--ready-fd"],
  },
];

/** 2.8 or newer: Debian's 2.6 has no fd/. */
export const CADDY: TestServer = {
  name: "caddy",
  program: "caddy",
  files: (site) => ({ "Caddyfile": CADDYFILE(site) }),
  command: ({ folder }) => ["caddy", "run", "--config", `${folder}/Caddyfile`],
  dropsAccepted: true,
};
