"""The application behind the `mlflow.app` entry point `toxic-registry`: MLflow's own server app.

Whatever must stand in front of every route (UI, REST, Python client) is added here, because this factory is
what both `toxic-registry serve` and `mlflow server --app-name toxic-registry` run.

Invariant: MLflow reads its server configuration from environment variables when `mlflow.server` is first
imported, so that import happens inside the factory, after `toxic_registry.server` has set them.
"""

from fastapi import FastAPI


def create_app() -> FastAPI:
    """Build the ASGI app; call once a process."""
    from mlflow.server import app as flask_app  # noqa: PLC0415  see the module's invariant
    from mlflow.server.fastapi_app import create_fastapi_app  # noqa: PLC0415

    app: FastAPI = create_fastapi_app(flask_app)
    return app
