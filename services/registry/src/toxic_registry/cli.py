"""The command line: `toxic-registry serve` runs the registry; the other commands are its clients.

Every expected error is one line on stderr and exit status 1. Commands import what they run, because MLflow's
import takes seconds.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_core.logging import configure_logging
from toxic_core.registered import CHAMPION, MODEL_NAME
from toxic_core.settings import load_secrets, name_faults
from toxic_core.telemetry import disable_telemetry
from toxic_registry import __version__
from toxic_registry.alias_commands import ALIAS_COMMANDS, connect, model_option, registry_option
from toxic_registry.caller import Role
from toxic_registry.client import report
from toxic_registry.gate.sealed import SealedEvaluations
from toxic_registry.ledger.entries import (
    aliases_of,
    verify_aliases,
    verify_chain,
    verify_champions,
    verify_times,
)
from toxic_registry.ledger.head import keep_head, verify_head
from toxic_registry.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Run the model registry, and choose the version that is served.

    Without a command it prints this help; `python -m toxic_registry` runs the server.
    """


for _command in ALIAS_COMMANDS:
    commands.add_command(_command)


@commands.command()
def serve() -> None:
    """Run the registry; REGISTRY_… variables configure it."""
    from toxic_registry.server.serve import serve as run  # noqa: PLC0415

    settings = _settings()
    configure_logging(level=settings.log_level)
    run(settings)


@commands.command()
@click.argument("version_or_alias")
@model_option
@registry_option
def evaluate(version_or_alias: str, *, model: str, registry_uri: str) -> None:
    """Measure a version on the registry's own table, REGISTRY_TEST_TABLE, for its gate.

    Run it where the registry runs. It needs the extra `evaluate` of toxic-registry.
    """
    settings = _settings()
    if settings.test_table is None:
        raise ConfigurationError("Set REGISTRY_TEST_TABLE, here and for the server, to a table of comments.")
    from toxic_registry.client.evaluation import evaluate_version  # noqa: PLC0415

    number, figures = evaluate_version(
        version_or_alias,
        registry_uri=registry_uri,
        model=model,
        sealed=SealedEvaluations(settings.test_table, settings.evaluations_dir),
    )
    for name, value in figures.items():
        click.echo(f"{name} {value:.4f}")
    click.echo(f"The gate has these figures of version {number} now.")


@commands.command()
@model_option
@registry_option
def history(model: str, registry_uri: str) -> None:
    """List every change of an alias (accepted, refused or overridden), the newest first."""
    entries = connect(registry_uri, model).ledger().entries
    click.echo(report.ledger([entry for entry in entries if entry.model == model]))


@commands.command()
@click.option(
    "--head",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of your own, away from the registry, with the head of the last time; compared, then replaced.",
)
@registry_option
def verify(head: Path | None, registry_uri: str) -> None:
    """Verify the ledger's hash chain, and that the ledger agrees with its head and with the aliases."""
    ledger = connect(registry_uri, MODEL_NAME).ledger()
    count = verify_chain(ledger.entries)
    if older := verify_times(ledger.entries):
        click.echo(
            f"Warning: entries older than the one before them: {', '.join(map(str, older))}. The clock of "
            "release 0.1 was set back, or they were backdated.",
            err=True,
        )
    if ledger.head is not None:
        verify_head(ledger.entries, ledger.head, key=ledger.key)
    if head is not None:
        keep_head(head, ledger.head, entries=ledger.entries)
    verify_champions(ledger.entries)
    verify_aliases(ledger.entries, ledger.aliases)
    click.echo(f"The ledger is intact: {count} entries, in agreement with the aliases.")
    if ledger.head is not None:
        click.echo(f"head: {ledger.head.size} {ledger.head.hash}")


@commands.command("champion-at")
@click.argument("moment")
@model_option
@registry_option
def champion_at(moment: str, model: str, registry_uri: str) -> None:
    """Print the version that was champion at a time, such as 2026-11-23T10:00Z."""
    try:
        until = datetime.fromisoformat(moment)
    except ValueError as error:
        raise ConfigurationError(f"{moment!r} isn't a time, such as 2026-11-23T10:00Z.") from error
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    aliases = aliases_of(connect(registry_uri, model).ledger().entries, until=until)
    click.echo(str(aliases.get((model, CHAMPION), "none")))


@commands.command()
@model_option
@registry_option
def versions(model: str, registry_uri: str) -> None:
    """List every version, the newest first."""
    client = connect(registry_uri, model)
    click.echo(report.versions_table(client.versions(), client.aliases(), model=model))


@commands.command("hash-password")
@click.argument("name")
@click.password_option(help="The user's password; prompted for if not given.")
@click.option(
    "--role",
    type=click.Choice([role.name.lower() for role in Role]),
    default=Role.PROMOTER.name.lower(),
    show_default=True,
    help="What the user may do; each role includes those before it.",
)
def hash_password(name: str, password: str, role: str) -> None:
    """Print a line for REGISTRY_USERS_FILE that allows a user to sign in."""
    from toxic_registry.server.users import user_line  # noqa: PLC0415

    click.echo(user_line(name, password, Role[role.upper()]))


@commands.command()
@model_option
@registry_option
def show(model: str, registry_uri: str) -> None:
    """Show the version of each alias, with its tags."""
    client = connect(registry_uri, model)
    click.echo(report.overview(client.versions(), client.aliases()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    disable_telemetry()
    try:
        load_secrets()
        commands(None if arguments is None else list(arguments), prog_name="toxic-registry")
    except ToxicError as error:
        click.echo(f"toxic-registry: {error}", err=True)
        sys.exit(1)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(name_faults(error, prefix="REGISTRY_")) from error
