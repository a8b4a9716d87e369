# labkit as an image. It runs as a user without rights, and needs no network:
#
#     docker build -t labkit .
#     docker run --rm --network none --read-only -v "$PWD:/captures:ro" labkit verify .
FROM python:3.13-slim
COPY requirements.lock /labkit/
RUN python -m pip install --no-cache-dir --quiet --only-binary :all: --require-hashes -r /labkit/requirements.lock
COPY pyproject.toml README.md LICENSE /labkit/
COPY labkit /labkit/labkit
RUN python -m pip install --no-cache-dir --quiet --no-index --no-deps --no-build-isolation /labkit && rm -r /labkit
USER 65534:65534
WORKDIR /captures
ENV PYTHONDONTWRITEBYTECODE=1 XDG_CACHE_HOME=/tmp
ENTRYPOINT ["labkit"]
CMD ["--help"]
