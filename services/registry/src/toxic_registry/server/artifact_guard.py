"""Keeps the files of registered versions as they were registered.

The guard is in MLflow's artifact store, behind every route that writes: the proxy's in FastAPI and in Flask,
multipart and presigned uploads, and those of MLflow's page.

Invariant: nothing is written or deleted at a version's location, below it, or above it; and nothing at all
by readers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction, signature
from pathlib import PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, PERMISSION_DENIED

from toxic_registry.caller import Role
from toxic_registry.server.middleware import current_caller

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

WRITES = {
    "log_artifact": True,
    "log_artifacts": False,
    "log_artifact_from_stream": True,
    "log_artifact_from_async_stream": True,
    "create_multipart_upload": True,
    "complete_multipart_upload": True,
    "abort_multipart_upload": True,
    "create_presigned_upload_url": False,
    "delete_artifacts": False,
}
"""The store's methods that write or delete; True if the file's name comes apart from the folder's."""

_NAMES = ("local_file", "artifact_file_name")


def guard_versions(artifacts: "ArtifactRepository", locations: Callable[[], Iterable[PurePosixPath]]) -> None:
    """Make the store refuse to change files of registered versions.

    Args:
        artifacts: the store behind the artifact proxy.
        locations: returns where the files of every registered version are; called before each write.
    """
    for method, named in WRITES.items():
        if (write := getattr(artifacts, method, None)) is not None:
            setattr(artifacts, method, _guarded(write, named=named, locations=locations))


def _guarded(
    write: Callable[..., Any], *, named: bool, locations: Callable[[], Iterable[PurePosixPath]]
) -> Callable[..., Any]:
    parameters = signature(write)

    def target_of(given: Mapping[str, Any]) -> PurePosixPath:
        target = PurePosixPath(normpath(given.get("artifact_path") or ".").lstrip("/"))
        if not named:
            return target
        name = next(given[name] for name in _NAMES if name in given)
        return target / PurePosixPath(str(name)).name

    def check(target: PurePosixPath) -> None:
        for location in locations():
            if target.is_relative_to(location) or location.is_relative_to(target):
                raise MlflowException(
                    f"{target} belongs to a registered version; its files can't change. Register another "
                    "version instead, or delete this one first.",
                    error_code=INVALID_PARAMETER_VALUE,
                )

    @wraps(write)
    def checked(*args: Any, **kwargs: Any) -> Any:
        _refuse_readers()
        check(target_of(parameters.bind(*args, **kwargs).arguments))
        with _refusing_taken_places():
            return write(*args, **kwargs)

    @wraps(write)
    async def checked_async(*args: Any, **kwargs: Any) -> Any:
        _refuse_readers()
        bound = parameters.bind(*args, **kwargs)
        target = target_of(bound.arguments)
        await asyncio.to_thread(check, target)
        chunks = bound.arguments["chunks"]

        async def watched() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield chunk
            # A version may have been registered meanwhile; the file is published after the last chunk.
            await asyncio.to_thread(check, target)

        bound.arguments["chunks"] = watched()
        with _refusing_taken_places():
            return await write(*bound.args, **bound.kwargs)

    return checked_async if iscoroutinefunction(write) else checked


@contextmanager
def _refusing_taken_places() -> Iterator[None]:
    try:
        yield
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        message = "A folder is at this place, or a file is at a folder's; choose another path."
        raise MlflowException(message, error_code=INVALID_PARAMETER_VALUE) from error


def _refuse_readers() -> None:
    if current_caller().role < Role.WRITER:
        raise MlflowException("The role reader changes no files.", error_code=PERMISSION_DENIED)
