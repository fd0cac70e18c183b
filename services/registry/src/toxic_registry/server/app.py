"""The composition root of the server: MLflow's app with the gate, the ledger, sign-in, metrics and webhooks.

`toxic-registry serve` and `mlflow server --app-name toxic-registry` (the `mlflow.app` entry point) both use
it.

Invariant: `mlflow.server` reads its configuration from environment variables at its first import, so
functions import it, after `toxic_registry.server.serve` has set them.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath

import structlog
from fastapi import FastAPI

from toxic_core.errors import ConfigurationError, ContractError
from toxic_core.http.body_limit import BodyLimitMiddleware
from toxic_core.signatures import read_trusted_keys
from toxic_registry.gate.artifacts import BundleStore, remove_scratch
from toxic_registry.gate.gate import Gate
from toxic_registry.gate.policy import read_policy
from toxic_registry.gate.sealed import SealedEvaluations
from toxic_registry.ledger.entries import Entry, Outcome
from toxic_registry.ledger.head import HeadFile
from toxic_registry.server.artifact_guard import guard_versions
from toxic_registry.server.auth import BasicAuthMiddleware
from toxic_registry.server.metrics import Metrics
from toxic_registry.server.middleware import (
    CallerMiddleware,
    MetricsMiddleware,
    OriginMiddleware,
)
from toxic_registry.server.surface import close_other_routes
from toxic_registry.server.users import Users, parse_users
from toxic_registry.server.webhooks import WebhookSender
from toxic_registry.settings import Settings

_log = structlog.stdlib.get_logger(__name__)

_MEGABYTE = 1_000_000
_FILES = "/mlflow-artifacts/artifacts/"
_MAX_BODY_BYTES = 8 * 1024 * 1024


def create_app() -> FastAPI:
    """Build the ASGI app from the environment; call once per process."""
    return build_app(Settings())


def build_app(settings: Settings) -> FastAPI:
    """Build the ASGI app; call once per process.

    Raises:
        ConfigurationError: a file that a setting names is invalid, MLflow's registry isn't in a database, or
            MLflow's workspaces are enabled.
        LedgerError: the ledger in the database isn't the one that this registry wrote.
    """
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES  # noqa: PLC0415  see the module's invariant
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.server import app as flask_app  # noqa: PLC0415
    from mlflow.server import handlers  # noqa: PLC0415
    from mlflow.server.fastapi_app import create_fastapi_app  # noqa: PLC0415
    from mlflow.store.db.db_types import DATABASE_ENGINES  # noqa: PLC0415

    from toxic_registry.server.gated_store import GatedStore  # noqa: PLC0415
    from toxic_registry.server.routes import make_router  # noqa: PLC0415

    if MLFLOW_ENABLE_WORKSPACES.get():
        raise ConfigurationError(
            "The gate doesn't support MLflow's workspaces; unset MLFLOW_ENABLE_WORKSPACES."
        )
    remove_scratch()
    metrics = Metrics()
    webhooks = WebhookSender(settings.event_urls, secret=settings.event_secret.get_secret_value())
    artifacts = handlers._get_artifact_repo_mlflow_artifacts()  # noqa: SLF001  MLflow has no public access to its stores
    bundles = BundleStore(
        artifacts,
        resolve=artifact_uri,
        max_bytes=settings.max_bundle_megabytes * _MEGABYTE,
    )
    gate = _make_gate(settings, bundles)
    head = HeadFile(settings.ledger_head_file)

    def emit(entry: Entry) -> None:
        _log_entry(entry)
        head.advance(entry)
        metrics.count_change(entry)
        webhooks.send(entry)

    def build_store(store_uri: str) -> GatedStore:
        return GatedStore(store_uri, gate=gate, digest=bundles.digest, check=head.check, emit=emit)

    for scheme in DATABASE_ENGINES:
        handlers._model_registry_store_registry.register(scheme, build_store)  # noqa: SLF001
    handlers.initialize_backend_stores()
    store = handlers._get_model_registry_store()  # noqa: SLF001
    if not isinstance(store, GatedStore):
        raise ConfigurationError("The gate needs MLflow's registry in a database; it is in files.")

    def locations() -> Iterator[PurePosixPath]:
        for uri in store.locations():
            with suppress(
                ContractError, MlflowException
            ):  # stored elsewhere, or its logged model was deleted
                yield bundles.location(uri)

    guard_versions(artifacts, locations)

    app: FastAPI = create_fastapi_app(flask_app)
    close_other_routes(app, flask_app)
    # Before the mount at / that ends MLflow's list of routes.
    app.router.routes[:0] = make_router(store, metrics, head).routes
    _add_middleware(app, settings, metrics)
    return app


def _make_gate(settings: Settings, bundles: BundleStore) -> Gate:
    trusted = None
    if settings.trusted_keys_file:
        trusted = partial(read_trusted_keys, settings.trusted_keys_file)
        trusted()  # a mistake in the file stops the start
    table = settings.test_table
    sealed = SealedEvaluations(table, settings.evaluations_dir) if table else None
    return Gate(read_policy(settings.gate_file), bundles.download, trusted=trusted, sealed=sealed)


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Add the layers, from the innermost to the outermost."""
    app.add_middleware(CallerMiddleware)
    if settings.users_file or settings.users.get_secret_value():
        users = Users(settings.users_file, parse_users(settings.users.get_secret_value()))
        app.add_middleware(BasicAuthMiddleware, users=users)
    app.add_middleware(BodyLimitMiddleware, limit=partial(body_limit, settings))
    app.add_middleware(OriginMiddleware, origins=settings.origins)
    app.add_middleware(MetricsMiddleware, metrics=metrics)


def _log_entry(entry: Entry) -> None:
    _log.log(
        logging.WARNING if entry.outcome is Outcome.REFUSED else logging.INFO,
        f"alias.{entry.outcome}",
        model=entry.model,
        alias=entry.alias,
        before=entry.before,
        after=entry.after,
        actor=entry.actor,
        reason=entry.reason,
        sequence=entry.sequence,
    )


def body_limit(settings: Settings, path: str) -> int:
    """Return the size of the largest body of a route; MLflow keeps a whole body in memory."""
    return settings.max_bundle_megabytes * _MEGABYTE if _FILES in path else _MAX_BODY_BYTES


def artifact_uri(uri: str) -> str:
    """Return the address of the artifacts of a logged model or a run; other addresses unchanged."""
    from mlflow.server import handlers  # noqa: PLC0415  see the module's invariant

    scheme, _, rest = uri.partition(":/")
    name, _, path = rest.strip("/").partition("/")
    if scheme == "models" and not path:
        return str(handlers._get_tracking_store().get_logged_model(name).artifact_location)  # noqa: SLF001
    if scheme == "runs":
        return f"{handlers._get_tracking_store().get_run(name).info.artifact_uri}/{path}"  # noqa: SLF001
    return uri
