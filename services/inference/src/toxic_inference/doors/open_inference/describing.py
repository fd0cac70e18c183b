"""What the protocol and Triton's extensions return about the model: metadata, configuration, totals."""

from collections.abc import Mapping

from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_inference.doors.open_inference.inference import DECISIONS, PROBABILITIES, TEXT
from toxic_inference.doors.open_inference.messages import (
    Duration,
    Index,
    IndexEntry,
    InferenceStatistics,
    ModelConfig,
    ModelMetadata,
    ModelStatistics,
    StringParameter,
    TensorConfig,
    TensorMetadata,
    VersionStatistics,
)
from toxic_inference.doors.open_inference.tensors import BYTES
from toxic_inference.http.backend import Backend
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.serving.interfaces import Target
from toxic_inference.serving.versions.states import State

_PLATFORM = "tensorflow_savedmodel"
_CONFIG_TYPES = {BYTES: "TYPE_STRING", "FP32": "TYPE_FP32", "BOOL": "TYPE_BOOL"}
_STATES = {
    State.NEW: "LOADING",
    State.LOADING: "LOADING",
    State.AVAILABLE: "READY",
    State.DRAINING: "UNLOADING",
    State.UNLOADING: "UNLOADING",
    State.FAILED: "UNAVAILABLE",
    State.ENDED: "UNAVAILABLE",
}


def describe_model(backend: Backend, target: Target) -> ModelMetadata:
    """Return the inputs and outputs of a version, in the form for texts, and the known versions."""
    with backend.scorer.session(target) as session:
        versions = [target.version] if target.version else [s.version for s in backend.statuses()]
        labels = len(session.contract.labels)
        return ModelMetadata(
            name=backend.model_name,
            versions=versions or [session.version],
            platform=_PLATFORM,
            inputs=[TensorMetadata(name=TEXT, datatype=BYTES, shape=[-1])],
            outputs=[
                TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, labels]),
                TensorMetadata(name=DECISIONS, datatype="BOOL", shape=[-1, labels]),
            ],
        )


def describe_config(backend: Backend, target: Target) -> ModelConfig:
    """Return a version's configuration, with the labels of its columns as a parameter."""
    metadata = describe_model(backend, target)
    inputs, outputs = (
        [
            TensorConfig(name=tensor.name, data_type=_CONFIG_TYPES[tensor.datatype], dims=tensor.shape)
            for tensor in tensors
        ]
        for tensors in (metadata.inputs, metadata.outputs)
    )
    with backend.scorer.session(target) as session:
        labels = StringParameter(string_value=",".join(session.contract.labels))
    return ModelConfig(
        name=backend.model_name,
        platform=_PLATFORM,
        max_batch_size=0,  # the shapes include the rows
        input=inputs,
        output=outputs,
        parameters={"labels": labels},
    )


def describe_index(backend: Backend, *, only_ready: bool) -> Index:
    """Return the known versions, or those that answer, with the error of failed ones."""
    return Index(
        [
            IndexEntry(
                name=backend.model_name,
                version=status.version,
                state=_STATES[status.state],
                reason="" if status.error is None else str(status.error),
            )
            for status in backend.statuses()
            if status.state is State.AVAILABLE or not only_ready
        ]
    )


def describe_statistics(backend: Backend, target: Target) -> ModelStatistics:
    """Return the totals of a version, or of all, from the metrics.

    Raises:
        InvalidRequestError: metrics are off.
        UnknownModelError: there is no such version.
    """
    if backend.totals is None:
        raise InvalidRequestError("There are no statistics, since INFERENCE_METRICS is off.")
    versions = [status.version for status in backend.statuses()]
    if target.version is not None and target.version not in versions:
        raise UnknownModelError(f"There is no version {target.version!r}.")
    return ModelStatistics(
        model_stats=[
            _statistics(backend.model_name, version, backend.totals(version))
            for version in versions
            if target.version in {None, version}
        ]
    )


def _statistics(name: str, version: str, totals: Mapping[str, float]) -> VersionStatistics:
    def duration(metric: str) -> Duration:
        count, seconds = (totals.get(f"{metric}_seconds_{part}", 0.0) for part in ("count", "sum"))
        return Duration(count=int(count), ns=int(seconds * 1e9))

    rows, hits, misses, failed = (
        int(totals.get(total, 0.0))
        for total in (
            "batch_rows_sum",
            "score_cache_hits_total",
            "score_cache_misses_total",
            "version_sessions_total_failed",
        )
    )
    queue, read, compute = map(duration, ("queue_wait", "tokenise", "compute"))
    return VersionStatistics(
        name=name,
        version=version,
        last_inference=int(totals.get("last_batch_seconds", 0.0) * 1e3),
        inference_count=rows,
        execution_count=compute.count,
        inference_stats=InferenceStatistics(
            success=Duration(count=rows + hits, ns=queue.ns + read.ns + compute.ns),
            fail=Duration(count=failed),
            queue=queue,
            compute_input=read,
            compute_infer=compute,
            compute_output=Duration(count=compute.count),
            cache_hit=Duration(count=hits),
            cache_miss=Duration(count=misses),
        ),
    )


def is_ready(backend: Backend, target: Target) -> bool:
    """Return whether a version would answer."""
    try:
        with backend.scorer.session(target):
            return True
    except NoVersionReadyError:
        return False
