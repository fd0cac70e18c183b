"""Commands of this project that replace Kedro's own: `kedro server start` starts our server.

Invariant: an option that is given wins over the environment variable.
"""

import sys
from typing import Any

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError


@click.group(name="toxic-training")
def cli() -> None:
    """Commands of this project."""


@cli.group()
def server() -> None:
    """Run pipelines on request over HTTP."""


@server.command()
@click.option("--host", "-H", help="Address to listen on (TRAINING_HOST; 127.0.0.1).")
@click.option("--port", "-p", type=int, help="Port to listen on (TRAINING_PORT; 8002).")
@click.option("--env", "-e", help="Kedro's configuration environment of every run (TRAINING_ENV).")
def start(host: str | None, port: int | None, env: str | None) -> None:
    """Start Kedro's HTTP server with one run at a time, each in a process of its own."""
    # Imported late: every command of Kedro imports this module.
    from toxic_training.server.serve import serve  # noqa: PLC0415
    from toxic_training.server.settings import Settings  # noqa: PLC0415

    options: dict[str, Any] = {"host": host, "port": port, "env": env}
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        faults = [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_input=False)]
        sys.exit(f"error: settings can't be used: {'; '.join(faults)}")
    except SettingsError as error:
        sys.exit(f"error: settings can't be used: {error}; it takes JSON.")
    serve(settings)
