/** What surrounds the commands of the pages of docs/ when they are typed. */

/** What surrounds the commands of a page, in the {@link SHELL}. */
export interface Scene {
  /** What runs before. */
  before: string;
  /** What must hold afterwards. */
  after?: string;
  /** Programs that are not everywhere. */
  needs?: readonly string[];
}

/**
 * A shell that has a network and a /run of its own. What would run until it is stopped goes into the background,
 * where it takes the place of one of its kind, and the next command is typed once it serves. In `$served` is
 * what was answered then.
 */
export const SHELL = `
  set -eum
  ip link set lo up
  mount -t tmpfs none /run
  mkdir /run/bin
  ln -s "$0" /run/bin/multibinder
  PATH=/run/bin:$PATH
  cd /run
  declare -A running=()
  served=''
  serves() {
    if [[ $1 == bind ]]; then command multibinder status
    else curl -sf http://127.0.0.1/; fi
  }
  finish() {
    local pid=\${running[$1]:-}
    [[ ! $pid ]] || { kill $pid; wait $pid; }
    unset "running[$1]"
  }
  multibinder() {
    if [[ $1 == top ]]; then
      timeout 1 /run/bin/multibinder "$@" || (($? == 124))
    elif [[ $1 == doctor ]]; then
      # What it finds is the machine's.
      command multibinder "$@" || (($? == 1))
    elif [[ $1 != bind && $1 != exec || " $* " == *' --check '* ]]; then
      command multibinder "$@"
    else
      finish $1
      command multibinder "$@" &
      running[$1]=$!
      until serves $1 >/run/answer 2>/run/log; do kill -0 \${running[$1]}; sleep 0.05; done
      [[ $1 == bind ]] || served+=" $(cat /run/answer)"
    fi
  }
  # site BIND TEXT   A config of HAProxy.
  site() {
    cat <<END
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend site
    $1
    http-request return status 200 content-type text/plain string $2
END
  }
`;

/** Ends what runs, each with 0. */
export const END = `
  finish exec
  finish bind
`;

const RUNNING = `
  mkdir /run/site
  cd /run/site
  site "bind <%= bind_tcp('0.0.0.0', 80) %>" here >site.cfg.eta
  echo 'addresses = [":80"]' >/run/binder.toml
  multibinder bind --config /run/binder.toml
  multibinder exec --control /run/site/control.sock --settle 20ms -- haproxy -f /run/site/site.cfg.eta
`;

/** Pages whose commands are typed so. */
export const SCENES: Readonly<Record<string, Scene>> = {
  "docs/containers.md": { before: RUNNING },
  "docs/operate.md": { before: RUNNING },
  "docs/watching.md": { before: RUNNING },
  "docs/monitoring.md": {
    before: RUNNING,
    after: `
      curl -sf http://127.0.0.1:9601/metrics >/run/metrics
      grep -q '^multibinder_listener_served{.*} 1$' /run/metrics
      curl -sf --unix-socket metrics.sock http://site/metrics >/run/metrics
      grep -q '^multibinder_generations{' /run/metrics
    `,
  },
  "docs/migrating.md": {
    before: `
      site "bind :80,:443" old >old.cfg
      haproxy -db -f old.cfg &
      old=$!
      until [[ $(curl -s http://127.0.0.1:443/) == old ]]; do kill -0 $old; done
    `,
    // Both serve, the old one goes, and the new one has its sockets.
    after: `
      site "bind <%= bind(':80,:443') %>" new >site.cfg.eta
      multibinder exec -- haproxy -f site.cfg.eta
      kill -USR1 $old
      wait $old
      for port in 80 443; do [[ $(curl -s http://127.0.0.1:$port/) == new ]]; done
    `,
  },
  "docs/servers.md": {
    needs: ["nginx", "gunicorn", "node"],
    before: `
      # A copy of /etc, so that the machine's own stays as it is.
      cp -a /etc /run
      mount --bind /run/etc /etc
      mkdir -p /etc/letsencrypt/live
      echo 'error_log stderr;
        events {}
        http {
          access_log off;
          server { listen 80; listen [::]:443 ipv6only=off; location / { return 200 "nginx"; } }
        }' >/etc/nginx/nginx.conf
      cat >app.py <<'END'
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"gunicorn"]
END
      cat >server.js <<'END'
const server = require("http").createServer((_request, response) => response.end("node"));
server.listen({ fd: Number(process.argv[2]) });
process.on("SIGTERM", () => server.close());
END
    `,
    after: `[[ $served == ' gunicorn nginx node nginx' ]]`,
  },
};
