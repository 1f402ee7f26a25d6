# The operator: watches DetNASSearches, plans, starts Jobs. No torch, no shell needed at run time.
#
#   docker build -f dockerfiles/operator.Dockerfile -t detnas-operator:0.1.0 .
#
# In a closed network, name a base of your own and tell pip where packages come from:
#
#   docker build -f dockerfiles/operator.Dockerfile -t detnas-operator:0.1.0 \
#     --build-arg BASE=python-base:1 \
#     --secret id=pip.conf,src=$HOME/.config/pip/pip.conf \
#     --secret id=ca-certificates.crt,src=/etc/ssl/certs/ca-certificates.crt .
#
# A base is any Linux image with glibc, libgcc and libstdc++, a shell, python3.11 and its modules
# venv and ensurepip (on Debian the packages python3.11, python3.11-venv and ca-certificates). The secrets are seen by the
# steps that install, and stay in no layer.
ARG BASE=python:3.11-slim-bookworm

# The packages to install are written here, so that other changes of pyproject.toml reinstall nothing.
FROM ${BASE} AS requirements
COPY pyproject.toml dockerfiles/requirements.py /
RUN python3.11 /requirements.py /pyproject.toml operator > /requirements.txt

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/build/constraints.txt
# Two environments: pip stays in the first, the second is what the image carries.
RUN python3.11 -m venv /build/pip && python3.11 -m venv --without-pip /opt/detnas
COPY constraints.txt /build/
COPY --from=requirements /requirements.txt /build/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    cd /build && pip/bin/pip --python /opt/detnas/bin/python install --requirement requirements.txt
COPY . /build/source
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    cd /build && pip/bin/pip wheel --no-deps --wheel-dir wheels ./source \
    && pip/bin/pip --python /opt/detnas/bin/python install --no-deps --no-index wheels/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="detnas-operator" \
      org.opencontainers.image.description="Runs architecture searches for object detectors as Kubernetes Jobs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The user has a name, since some libraries ask for it; the root file system may be read-only.
RUN echo "detnas:x:65532:65532:detnas:/tmp:/usr/sbin/nologin" >> /etc/passwd \
    && echo "detnas:x:65532:" >> /etc/group
COPY --from=build /opt/detnas /opt/detnas
ENV PATH=/opt/detnas/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["detnas-operator"]
