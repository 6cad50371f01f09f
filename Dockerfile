# docker build -t multibinder .
#
# The tag is the Deno that the program is tested with; it downloads its own runtime to put the program into.
FROM denoland/deno:2.4.2 AS build
WORKDIR /src
COPY . .
RUN ./scripts/build.sh /out/multibinder \
  && deno run --quiet --no-check --frozen --allow-read --allow-run --allow-env scripts/package/sbom.ts >/out/sbom.cdx.json

# The C library that the program needs, and no shell.
FROM gcr.io/distroless/cc-debian12
LABEL org.opencontainers.image.title="multibinder" \
  org.opencontainers.image.description="Holds listening sockets, so that servers are replaced without losing a connection" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12"
COPY --from=build /out/multibinder /usr/local/bin/multibinder
# Scanners know by it what the program is made of.
COPY --from=build /out/sbom.cdx.json /usr/share/doc/multibinder/sbom.cdx.json
EXPOSE 80
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=2 \
  CMD ["/usr/local/bin/multibinder", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/multibinder"]
CMD ["bind", "--sock", "/run/multibinder.sock"]
