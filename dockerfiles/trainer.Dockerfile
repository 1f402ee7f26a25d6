# The trainer: runs one job of a search, on CPUs and on GPUs alike. Holds torch and mmdet.
#
#   docker build -f dockerfiles/trainer.Dockerfile -t detnas-trainer:0.1.0 .
#
# Nothing is compiled: torchvision's wheel brings the operators, also those for GPUs. A base and
# closed networks: see operator.Dockerfile.
ARG BASE=python:3.11-slim-bookworm

# The packages to install are written here, so that other changes of pyproject.toml reinstall nothing.
FROM ${BASE} AS requirements
COPY pyproject.toml dockerfiles/requirements.py /
RUN python3.11 /requirements.py /pyproject.toml trainer export > /requirements.txt

FROM ${BASE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/build/constraints.txt
# Two environments: pip stays in the first, the second is what the image carries.
RUN python3.11 -m venv /build/pip && python3.11 -m venv --without-pip /opt/detnas
COPY constraints.txt /build/
COPY --from=requirements /requirements.txt /build/
# mmcv requires opencv-python, which needs the system's libGL: the headless build replaces it.
# The other packages that go serve torch.compile and mmdet's image corruptions, which nobody here
# uses; they are 1.3 GB.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    cd /build && pip() { pip/bin/pip --python /opt/detnas/bin/python "$@"; } \
    && pip install --requirement requirements.txt \
    && pip uninstall --yes opencv-python triton imagecorruptions-imaug numba llvmlite \
    && pip install --force-reinstall --no-deps opencv-python-headless

FROM packages AS detnas
COPY . /build/source
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    cd /build && pip/bin/pip wheel --no-deps --wheel-dir ours ./source \
    && pip/bin/pip --python /opt/detnas/bin/python install --no-deps --no-index --prefix /ours ours/*.whl \
    && PYTHONPATH=$(echo /ours/lib/python3.*/site-packages) /opt/detnas/bin/python -W ignore \
        -c "import detnas_trainer.openmmlab"

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="detnas-trainer" \
      org.opencontainers.image.description="Trains, distils, scores and exports the detectors of an architecture search" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The user has a name, since torch requires one; the root file system may be read-only.
RUN echo "detnas:x:65532:65532:detnas:/tmp:/usr/sbin/nologin" >> /etc/passwd \
    && echo "detnas:x:65532:" >> /etc/group
# Two layers: a change of the sources moves no gigabytes.
COPY --from=packages /opt/detnas /opt/detnas
COPY --from=detnas /ours /opt/detnas
ENV PATH=/opt/detnas/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["detnas-trainer"]
