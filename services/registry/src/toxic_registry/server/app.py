"""The application behind the `mlflow.app` entry point `toxic-registry`: MLflow's own server app, gated.

The composition root: what stands behind MLflow's handlers (the gated store), in front of them (who asks, who
may, what is counted) and beside them (the ledger's routes) is put together here, for `toxic-registry serve`
and for `mlflow server --app-name toxic-registry` alike.

Invariant: MLflow reads its server configuration from environment variables when `mlflow.server` is first
imported, so that import happens inside the functions, after `toxic_registry.server.process` has set them.
"""

from typing import TYPE_CHECKING

from fastapi import FastAPI

from toxic_core.errors import ConfigurationError
from toxic_registry.gate.policy import read_policy
from toxic_registry.server.auth import BasicAuthMiddleware, read_users
from toxic_registry.server.caller import CallerMiddleware
from toxic_registry.server.events import EventSender
from toxic_registry.server.metrics import Metrics, MetricsMiddleware
from toxic_registry.settings import Settings

if TYPE_CHECKING:
    from toxic_registry.gate.bundles import ProxiedBundles
    from toxic_registry.server.store import GatedStore

_MEGABYTE = 1_000_000


def create_app() -> FastAPI:
    """Build the ASGI app from the environment; call once a process."""
    return build_app(Settings())


def build_app(settings: Settings) -> FastAPI:
    """Build the ASGI app; call once a process.

    Raises:
        ConfigurationError: a file that a setting names can't be used, or MLflow keeps its registry elsewhere
            than in a database.
    """
    from mlflow.server import app as flask_app  # noqa: PLC0415  see the module's invariant
    from mlflow.server.fastapi_app import create_fastapi_app  # noqa: PLC0415

    from toxic_registry.server.routes import make_router  # noqa: PLC0415

    metrics = Metrics()
    store = _install_store(settings, metrics)
    app: FastAPI = create_fastapi_app(flask_app)
    # In front of the mount at / that ends MLflow's own list.
    app.router.routes[:0] = make_router(store, metrics).routes
    app.add_middleware(CallerMiddleware)
    if settings.users_file:
        app.add_middleware(BasicAuthMiddleware, users=read_users(settings.users_file))
    # The last one added is the outermost.
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    return app


def _install_store(settings: Settings, metrics: Metrics) -> "GatedStore":
    """Make MLflow's handlers use the gated store, and return it."""
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES  # noqa: PLC0415  see the invariant
    from mlflow.server import handlers  # noqa: PLC0415
    from mlflow.store.db.db_types import DATABASE_ENGINES  # noqa: PLC0415

    from toxic_registry.gate.check import Gate  # noqa: PLC0415
    from toxic_registry.server.store import GatedStore  # noqa: PLC0415

    if MLFLOW_ENABLE_WORKSPACES.get():
        raise ConfigurationError("The gate doesn't know MLflow's workspaces; unset MLFLOW_ENABLE_WORKSPACES.")
    gate = Gate(read_policy(settings.gate_file), _bundles(settings))
    sender = EventSender(settings.event_urls, secret=settings.event_secret.get_secret_value())

    def build(store_uri: str) -> GatedStore:
        return GatedStore(store_uri, gate=gate, observers=(metrics, sender))

    for scheme in DATABASE_ENGINES:
        handlers._model_registry_store_registry.register(scheme, build)  # noqa: SLF001  the server's own is no plugin's
    handlers.initialize_backend_stores()
    store = handlers._get_model_registry_store()  # noqa: SLF001
    if not isinstance(store, GatedStore):
        raise ConfigurationError("The gate needs MLflow's registry in a database, not in files.")
    return store


def _bundles(settings: Settings) -> "ProxiedBundles":
    from mlflow.server import handlers  # noqa: PLC0415  see the module's invariant

    from toxic_registry.gate.bundles import ProxiedBundles  # noqa: PLC0415

    def resolve(uri: str) -> str:
        scheme, _, rest = uri.partition(":/")
        if scheme == "models" and "/" not in rest.strip("/"):
            return str(handlers._get_tracking_store().get_logged_model(rest.strip("/")).artifact_location)  # noqa: SLF001
        if scheme == "runs":
            run_id, _, path = rest.strip("/").partition("/")
            return f"{handlers._get_tracking_store().get_run(run_id).info.artifact_uri}/{path}"  # noqa: SLF001
        return uri

    return ProxiedBundles(
        handlers._get_artifact_repo_mlflow_artifacts(),  # noqa: SLF001
        resolve=resolve,
        max_bytes=settings.max_bundle_megabytes * _MEGABYTE,
    )
