cd ; unset PYTHONDONTWRITEBYTECODE; set -a; . infra/telemetry.env; set +a
export TOXIC_DATA_DIR= TOXIC_STATE_DIR= REGISTRY_PORT=5900 OMP_NUM_THREADS=$2 TF_NUM_INTRAOP_THREADS=$2 TF_NUM_INTEROP_THREADS=1
exec .venv/bin/python -m toxic_local with-registry -- .venv/bin/python -m toxic_training run --pipelines "$1"
