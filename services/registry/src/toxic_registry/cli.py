"""The command line: `toxic-registry serve` runs the registry; the other commands are its clients.

Invariant: whatever goes wrong on purpose is one line on stderr and exit status 1.
"""

import sys
from collections.abc import Sequence

import click
from pydantic import ValidationError

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_core.logging import configure_logging
from toxic_core.telemetry import disable_telemetry
from toxic_registry import report
from toxic_registry.aliases import AliasStore, roll_back
from toxic_registry.aliases import promote as promote_version
from toxic_registry.settings import Settings

DEFAULT_REGISTRY_URI = "http://127.0.0.1:5000"

_registry_uri = click.option(
    "--registry-uri",
    envvar=["REGISTRY_URI", "MLFLOW_TRACKING_URI"],
    default=DEFAULT_REGISTRY_URI,
    show_default=True,
    show_envvar=True,
    help="Address of the running registry.",
)
_reason = click.option("--reason", default="", help="Why; kept as a tag of the version.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run the model registry, and decide which version is served."""


@commands.command()
def serve() -> None:
    """Run the registry; configured by REGISTRY_… variables."""
    from toxic_registry.server import serve as run  # noqa: PLC0415  spares the other commands a database

    settings = _settings()
    configure_logging(level=settings.log_level)
    run(settings)


@commands.command()
@click.argument("version_or_alias")
@_reason
@_registry_uri
def promote(version_or_alias: str, reason: str, registry_uri: str) -> None:
    """Make a version (a number, or an alias such as `challenger`) the champion."""
    click.echo(report.describe(promote_version(_connect(registry_uri), version_or_alias, reason=reason)))


@commands.command()
@_reason
@_registry_uri
def rollback(reason: str, registry_uri: str) -> None:
    """Make the previous champion champion again."""
    click.echo(report.describe(roll_back(_connect(registry_uri), reason=reason)))


@commands.command()
@_registry_uri
def history(registry_uri: str) -> None:
    """List every version, the newest first."""
    client = _connect(registry_uri)
    click.echo(report.history(client.versions(), client.aliases()))


@commands.command()
@_registry_uri
def show(registry_uri: str) -> None:
    """Show what stands behind each alias."""
    client = _connect(registry_uri)
    click.echo(report.overview(client.versions(), client.aliases()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    disable_telemetry()
    try:
        commands(None if arguments is None else list(arguments), prog_name="toxic-registry")
    except ToxicError as error:
        click.echo(f"toxic-registry: {error}", err=True)
        sys.exit(1)


def _connect(uri: str) -> AliasStore:
    from toxic_registry.client import RegistryClient, bound_retries  # noqa: PLC0415  MLflow takes seconds

    bound_retries()
    return RegistryClient(uri)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"REGISTRY_{_name(e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(wrong) from error


def _name(location: tuple[int | str, ...]) -> str:
    return "_".join(map(str, location)).upper()
