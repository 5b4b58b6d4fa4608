# One image; web, worker, scheduler, beat and recorder differ by command: `manage.py run NAME`.
FROM python:3.11-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY Makefile requirements.lock requirements-node.lock package.json package-lock.json manage.py ./
COPY static static
COPY connections connections
COPY probes probes
COPY dashboard dashboard
COPY templates templates
COPY docs docs
RUN make build/stamps/static && rm -rf node_modules var

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /app readywire && install -d -o readywire /data
COPY --from=build /app /app
WORKDIR /app
ENV DATA_DIR=/data PORT=8000 PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["python", "manage.py", "run"]
CMD ["web"]
