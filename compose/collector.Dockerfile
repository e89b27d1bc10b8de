# syntax=docker/dockerfile:1
# The official collector, with two things that it lacks: a command that can ask its health, and
# folders that the stack's user may write to (Docker makes a volume's folder as the image has it).
ARG COLLECTOR=otel/opentelemetry-collector-contrib:0.155.0

FROM busybox:1.37-musl AS extras
RUN mkdir -p -m 0770 /extras/run/keys /extras/var/lib/ddcolor/agent /extras/var/log/ddcolor

FROM ${COLLECTOR}
COPY --from=extras /bin/busybox /usr/bin/wget
COPY --from=extras --chown=1000:0 /extras/ /
USER 1000:0
