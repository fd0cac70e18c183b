"""Kedro's settings of this project: hooks, and the resolvers that configuration files may use."""

from omegaconf.resolvers import oc

from toxic_core.telemetry import disable_telemetry
from toxic_training.kedro_project.hooks import (
    LocksHook,
    ParameterNamesHook,
    ProgressHook,
    RawDataHook,
    SigningKeyHook,
)
from toxic_training.kedro_project.tracking import TrackingHook
from toxic_training.kedro_project.viz import keep_requests_local

disable_telemetry()  # of a process that plain `kedro` or a notebook started
keep_requests_local()

# Of the hooks that run first, the last in this list does: the key is read before anything is locked.
HOOKS = (LocksHook(), SigningKeyHook(), RawDataHook(), TrackingHook(), ProgressHook(), ParameterNamesHook())
# TrackingHook is kedro-mlflow's. Kedro compares a distribution's own spelling of its name.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro_mlflow", "kedro-telemetry")

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment contains only the differences from base.
    "merge_strategy": {"catalog": "soft", "parameters": "soft"},
    "custom_resolvers": {"oc.env": oc.env},
}
