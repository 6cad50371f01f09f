# HAProxy whose listening sockets come from a binder. The image `multibinder` must be there already:
#   docker build -t site-haproxy -f haproxy.Dockerfile .
FROM haproxy:3.2
COPY --from=multibinder /usr/local/bin/multibinder /usr/local/bin/
# The base image has SIGUSR1 here, which is for HAProxy itself.
STOPSIGNAL SIGTERM
# Rendered configs go to /tmp, so that their templates may be mounted read-only.
ENTRYPOINT ["multibinder", "exec", "--render-dir", "/tmp", "--", "haproxy"]
CMD ["-f", "/etc/haproxy/site.cfg.erb"]
