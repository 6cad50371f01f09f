# docker build -t multibinder .
#
# The tag is the Deno that the program is tested with; it downloads its own runtime to put the program into.
FROM denoland/deno:2.4.2 AS build
WORKDIR /src
COPY . .
RUN ./scripts/build.sh /out/multibinder

# The C library that the program needs, and no shell.
FROM gcr.io/distroless/cc-debian12
LABEL org.opencontainers.image.title="multibinder" \
  org.opencontainers.image.description="Holds listening sockets, so that servers are replaced without losing a connection" \
  org.opencontainers.image.licenses="MIT"
COPY --from=build /out/multibinder /usr/local/bin/multibinder
EXPOSE 80
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=2 \
  CMD ["/usr/local/bin/multibinder", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/multibinder"]
CMD ["bind", "--sock", "/run/multibinder.sock"]
