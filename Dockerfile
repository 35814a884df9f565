# The daemon and the trainer, for a CPU. Built by `docker build -t azr-fast .`; see docs/install.md.
# Both stages have the same Python at the same path: azr-sandboxd reads the standard library of the one it was built for.
FROM python:3.12-slim-bookworm AS build
# Debian keeps no old versions to pin, and the base image's tag names its release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements requirements
COPY Makefile ./
# The virtual environment first: its packages change seldom.
RUN make VENV=/opt/azr-fast /opt/azr-fast/packages
COPY . .
RUN make VENV=/opt/azr-fast /opt/azr-fast/installed

FROM python:3.12-slim-bookworm
# The kernels are linked against libgomp, vLLM's CPU build against libnuma.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 libnuma1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 azr
COPY --from=build /opt/azr-fast /opt/azr-fast
ENV PATH=/opt/azr-fast/bin:$PATH
USER 1000
WORKDIR /home/azr
RUN azr-fast models fetch smollm2-135m
ENTRYPOINT ["azr-fast"]
CMD ["--help"]
