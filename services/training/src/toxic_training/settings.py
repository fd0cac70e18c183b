"""Kedro's settings of this project: hooks, and what configuration files may refer to."""

from omegaconf.resolvers import oc

from toxic_training.kedro_project.hooks import (
    CauseHook,
    LocksHook,
    NarratorHook,
    ParametersHook,
    RawDataHook,
    RunReportHook,
)

HOOKS = (LocksHook(), RawDataHook(), CauseHook(), ParametersHook(), NarratorHook(), RunReportHook())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment states only what differs from base.
    "merge_strategy": {"catalog": "soft", "parameters": "soft"},
    "custom_resolvers": {"oc.env": oc.env},
}
