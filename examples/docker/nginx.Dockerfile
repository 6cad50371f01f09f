# nginx whose listening sockets come from a binder; another server's image differs in its last two lines. The
# image `multibinder` must be there already:
#   docker build -t site-nginx -f nginx.Dockerfile .
FROM nginx:stable
COPY --from=multibinder /usr/local/bin/multibinder /usr/local/bin/
# The base image has SIGQUIT here, which is for nginx itself.
STOPSIGNAL SIGTERM
# A `--listen` for each address of the config's `listen` lines.
ENTRYPOINT ["multibinder", "exec", "--listen", "http=:80", "--", "nginx"]
CMD ["-c", "/etc/nginx/nginx.conf"]
