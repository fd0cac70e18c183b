"""Kedro's settings of this project: hooks, and the resolvers that configuration files may use."""

from omegaconf.resolvers import oc

from toxic_training.kedro_project.hooks import LocksHook, ProgressHook, RawDataHook, TrackingHook

HOOKS = (LocksHook(), RawDataHook(), TrackingHook(), ProgressHook())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment contains only the differences from base.
    "merge_strategy": {"catalog": "soft", "parameters": "soft"},
    "custom_resolvers": {"oc.env": oc.env},
}
