#!/bin/sh
# Inside a build: makes /opt/venv with what packages depend on, at the versions of constraints.txt.
#
#   install-dependencies.sh PACKAGE[:EXTRA]…     (see requirements.py)
set -eu

# Who points pip to an index of their own means uv too.
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"

python -m venv /opt/uv
/opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check uv
python -m venv --without-pip /opt/venv

# The lock has one TensorFlow; the small build for CPUs is the same version.
sed -n 's/^tensorflow==/tensorflow-cpu==/p' constraints.txt >cpu-constraints.txt
python infra/containers/requirements.py "$@" >requirements.txt
# Compiled now: a container's root is read-only, and would compile at every start.
/opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-cache --compile-bytecode \
    -c constraints.txt -c cpu-constraints.txt -r requirements.txt

# Headers for building operations; nothing here does.
rm -rf /opt/venv/lib/python3*/site-packages/tensorflow/include
