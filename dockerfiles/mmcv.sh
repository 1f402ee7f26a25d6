#!/bin/sh
# mmcv.sh WHEELS TARGET: put a wheel of mmcv into TARGET, from the folder WHEELS if one there fits,
# else compiled. Runs in the trainer's image, with torch installed in /opt/detnas.
set -eu
wheels=$1
target=$2
requirement=$(grep '^onedl-mmcv==' /build/requirements.txt)
pip="/build/pip/bin/pip --python /opt/detnas/bin/python"

mkdir -p "$target"
if $pip download --quiet --no-deps --no-index --find-links "$wheels" --only-binary :all: \
    --dest "$target" "$requirement" 2> /dev/null; then
  echo "mmcv: took $(ls "$target")"
  exit 0
fi
if ! command -v c++ > /dev/null && ! command -v g++ > /dev/null; then
  echo "mmcv: no wheel of $requirement that fits was given, and BUILDER has no C++ compiler." >&2
  echo "Give a folder with one (--build-context wheels=DIR), or a BUILDER that has one." >&2
  exit 1
fi
echo "mmcv: compiling $requirement, about 28 core-minutes"
[ -n "${MAX_JOBS:-}" ] || MAX_JOBS=$(nproc)
export MAX_JOBS MMCV_WITH_OPS=1
# What the build asks for is in the environment of torch, since it reads torch's own headers.
$pip install 'setuptools<81' wheel ninja psutil
PATH=/opt/detnas/bin:$PATH $pip wheel --no-deps --no-build-isolation --wheel-dir "$target" "$requirement"
