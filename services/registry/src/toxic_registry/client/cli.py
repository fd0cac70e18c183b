"""The command line: `toxic-registry serve` runs the registry; the other commands are its clients.

Invariant: whatever goes wrong on purpose is one line on stderr and exit status 1.
"""

import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_core.logging import configure_logging
from toxic_core.settings import name_faults
from toxic_core.telemetry import disable_telemetry
from toxic_registry.client import report
from toxic_registry.gate.aliases import MODEL_NAME, Alias, Request, roll_back
from toxic_registry.gate.aliases import promote as promote_version
from toxic_registry.ledger.rows import aliases_of, check_aliases, check_chain
from toxic_registry.settings import Settings

if TYPE_CHECKING:
    from toxic_registry.client.store import RegistryClient

DEFAULT_REGISTRY_URI = "http://127.0.0.1:5000"

_registry_uri = click.option(
    "--registry-uri",
    envvar=["REGISTRY_URI", "MLFLOW_TRACKING_URI"],
    default=DEFAULT_REGISTRY_URI,
    show_default=True,
    show_envvar=True,
    help="Address of the running registry.",
)
_model = click.option(
    "--model", default=MODEL_NAME, show_default=True, help="The registered model.", envvar="REGISTRY_MODEL"
)
_reason = click.option("--reason", default="", help="Why; kept in the ledger and as a tag of the version.")
_actor = click.option(
    "--actor",
    default=getpass.getuser,
    show_default="your user name",
    help="Who asks; kept in the ledger. A registry that people sign in to takes that name instead.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run the model registry, and decide which version is served."""


@commands.command()
def serve() -> None:
    """Run the registry; configured by REGISTRY_… variables."""
    from toxic_registry.server.process import serve as run  # noqa: PLC0415  spares the other commands a database

    settings = _settings()
    configure_logging(level=settings.log_level)
    run(settings)


@commands.command()
@click.argument("version_or_alias")
@_reason
@_actor
@click.option("--override", default="", metavar="REASON", help="Promote against the gate, for this reason.")
@_model
@_registry_uri
def promote(
    version_or_alias: str, *, reason: str, actor: str, override: str, model: str, registry_uri: str
) -> None:
    """Make a version (a number, or an alias such as `challenger`) the champion."""
    request = Request(actor=actor, reason=reason, override=override)
    click.echo(report.describe(promote_version(_connect(registry_uri, model), version_or_alias, request)))


@commands.command()
@_reason
@_actor
@_model
@_registry_uri
def rollback(*, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """Make the previous champion champion again."""
    request = Request(actor=actor, reason=reason or "rollback")
    click.echo(report.describe(roll_back(_connect(registry_uri, model), request)))


@commands.command()
@_model
@_registry_uri
def history(model: str, registry_uri: str) -> None:
    """List every change of an alias, accepted, refused or overridden; the newest first."""
    entries = _connect(registry_uri, model).ledger().entries
    click.echo(report.ledger([entry for entry in entries if entry.change.model == model]))


@commands.command()
@_registry_uri
def verify(registry_uri: str) -> None:
    """Check that no row of the ledger was changed or removed, and that it ends where the aliases stand."""
    ledger = _connect(registry_uri, MODEL_NAME).ledger()
    rows = check_chain(ledger.entries)
    check_aliases(ledger.entries, ledger.aliases)
    click.echo(f"The ledger's {rows} rows hold together and agree with the aliases.")


@commands.command("champion-at")
@click.argument("moment")
@_model
@_registry_uri
def champion_at(moment: str, model: str, registry_uri: str) -> None:
    """Tell which version was champion at a time, such as 2026-11-23T10:00Z."""
    until = _moment(moment)
    aliases = aliases_of(_connect(registry_uri, model).ledger().entries, until=until)
    number = aliases.get((model, Alias.CHAMPION))
    click.echo("none" if number is None else str(number))


@commands.command()
@_model
@_registry_uri
def versions(model: str, registry_uri: str) -> None:
    """List every version, the newest first."""
    client = _connect(registry_uri, model)
    click.echo(report.versions_table(client.versions(), client.aliases()))


@commands.command("hash-password")
@click.argument("name")
@click.password_option(help="The user's password; asked for where it isn't given.")
def hash_password(name: str, password: str) -> None:
    """Print the line of REGISTRY_USERS_FILE that lets a user sign in."""
    from toxic_registry.server.auth import user_line  # noqa: PLC0415  spares the other commands a web framework

    click.echo(user_line(name, password))


@commands.command()
@_model
@_registry_uri
def show(model: str, registry_uri: str) -> None:
    """Show what stands behind each alias."""
    client = _connect(registry_uri, model)
    click.echo(report.overview(client.versions(), client.aliases()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    disable_telemetry()
    try:
        commands(None if arguments is None else list(arguments), prog_name="toxic-registry")
    except ToxicError as error:
        click.echo(f"toxic-registry: {error}", err=True)
        sys.exit(1)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no time, such as 2026-11-23T10:00Z.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _connect(uri: str, model: str) -> "RegistryClient":
    from toxic_registry.client.store import RegistryClient, bound_retries  # noqa: PLC0415  MLflow takes seconds

    bound_retries()
    return RegistryClient(uri, model=model)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(name_faults(error, prefix="REGISTRY_")) from error
