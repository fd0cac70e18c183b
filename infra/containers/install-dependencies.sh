#!/bin/sh
# Inside a build: creates /opt/venv with the dependencies of packages, at the versions of constraints.txt.
#
#   install-dependencies.sh PACKAGE[:EXTRA]…     (see requirements.py)
set -eu

# An index for pip holds for uv as well.
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"

python -m venv /opt/uv
/opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check uv
python -m venv --without-pip /opt/venv

# The lock pins tensorflow; tensorflow-cpu, the small build, has the same version.
sed -n 's/^tensorflow==/tensorflow-cpu==/p' constraints.txt >cpu-constraints.txt
python infra/containers/requirements.py "$@" >requirements.txt
# Compile bytecode now: a container's root is read-only, so it would compile at every start.
/opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-cache --compile-bytecode \
    -c constraints.txt -c cpu-constraints.txt -r requirements.txt

# Headers for building custom operations, which nothing here does, and OpenVINO's plugins for devices other than CPUs.
cd /opt/venv/lib/python3*/site-packages
rm -rf tensorflow/include openvino/include openvino/libs/cache.json \
    openvino/libs/libopenvino_intel_gpu_plugin.so openvino/libs/libopenvino_intel_npu_plugin.so
