# The same as haproxy.Dockerfile, with Debian's HAProxy:
#   docker build -t site-haproxy -f haproxy.debian.Dockerfile .
FROM debian:bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends haproxy \
  && rm -rf /var/lib/apt/lists/*
COPY --from=multibinder /usr/local/bin/multibinder /usr/local/bin/
USER haproxy
STOPSIGNAL SIGTERM
# Rendered configs go to /tmp, so that their templates may be mounted read-only.
ENTRYPOINT ["multibinder", "exec", "--render-dir", "/tmp", "--", "haproxy"]
CMD ["-f", "/etc/haproxy/site.cfg.erb"]
