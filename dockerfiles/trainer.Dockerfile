# The trainer: runs one job of a search. Holds torch and mmdet, several gigabytes.
#
#   docker build -f dockerfiles/trainer.Dockerfile -t detnas-trainer:0.1.0 .
#
# mmcv has no ready wheel in the registry. Its operators are compiled here, 28 core-minutes, unless
# a folder with a wheel that fits is given:
#
#   docker build -f dockerfiles/trainer.Dockerfile -t detnas-trainer:0.1.0 \
#     --build-context wheels=DIR .
#
# For GPUs mmcv's operators must be compiled with CUDA: a wheel built so, or a BUILDER with nvcc
# (of the CUDA version that torch has) and `--build-arg FORCE_CUDA=1`.
#
# BASE and BUILDER are images with glibc, a shell, and python3.11 with its modules venv and ensurepip
# at the same place; BUILDER may be the same image where a wheel is given, else it needs a C++
# compiler and Python's headers. Closed networks: see operator.Dockerfile.
ARG BASE=python:3.11-slim-bookworm
ARG BUILDER=python:3.11-bookworm

# Replaced by `--build-context wheels=DIR`.
FROM scratch AS wheels

# What to install is written here, so that other changes of pyproject.toml install nothing anew.
FROM ${BUILDER} AS requirements
COPY pyproject.toml dockerfiles/requirements.py /
RUN python3.11 /requirements.py /pyproject.toml trainer > /requirements.txt

FROM ${BUILDER} AS torch
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/build/constraints.txt
# Two environments: pip stays in the first, the second is what the image carries.
RUN python3.11 -m venv /build/pip && python3.11 -m venv --without-pip /opt/detnas
COPY constraints.txt /build/
COPY --from=requirements /requirements.txt /build/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    cd /build && grep -E '^torch(vision)?==' requirements.txt > torch.txt \
    && pip/bin/pip --python /opt/detnas/bin/python install --requirement torch.txt

FROM torch AS mmcv
ARG FORCE_CUDA=0
ARG TORCH_CUDA_ARCH_LIST=""
ARG MAX_JOBS=""
COPY dockerfiles/mmcv.sh /build/
RUN --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    sh /build/mmcv.sh /wheels /build/mmcv

FROM torch AS packages
# mmcv asks for opencv-python, which needs the system's libGL; the headless build takes its place.
COPY --from=mmcv /build/mmcv /build/mmcv
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    cd /build && pip() { pip/bin/pip --python /opt/detnas/bin/python "$@"; } \
    && pip install mmcv/*.whl --requirement requirements.txt \
    && pip uninstall --yes opencv-python \
    && pip install --force-reinstall --no-deps opencv-python-headless \
    && /opt/detnas/bin/python -W ignore -c "import cv2, mmcv.ops, mmdet.apis"

FROM packages AS detnas
COPY . /build/source
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    cd /build && pip/bin/pip wheel --no-deps --wheel-dir ours ./source \
    && pip/bin/pip --python /opt/detnas/bin/python install --no-deps --no-index --prefix /ours ours/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="detnas-trainer" \
      org.opencontainers.image.description="Trains, distils, scores and exports the detectors of an architecture search" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The user has a name, since torch asks for it; the root file system may be read-only.
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
