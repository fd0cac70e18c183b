"""The command line: `toxic-registry serve` runs the registry; the other commands are its clients.

Every expected error is one line on stderr and exit status 1. Commands import what they run, because MLflow's
import takes seconds.
"""

import getpass
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_core.logging import configure_logging
from toxic_core.registered import CHALLENGER, CHAMPION, MODEL_NAME
from toxic_core.settings import name_faults
from toxic_core.telemetry import disable_telemetry
from toxic_registry import __version__
from toxic_registry.caller import Caller, Role
from toxic_registry.client import report
from toxic_registry.gate.sealed import SealedEvaluations
from toxic_registry.ledger.entries import (
    LedgerError,
    aliases_of,
    verify_aliases,
    verify_chain,
    verify_champions,
    verify_times,
)
from toxic_registry.ledger.head import read_head, verify_head, write_head
from toxic_registry.settings import Settings

if TYPE_CHECKING:
    from toxic_registry.client.registry_client import RegistryClient

_registry_uri = click.option(
    "--registry-uri",
    envvar=["REGISTRY_URI", "MLFLOW_TRACKING_URI"],
    default="http://127.0.0.1:5000",
    show_default=True,
    show_envvar=True,
    help="Address of the running registry.",
)
_model = click.option(
    "--model",
    default=MODEL_NAME,
    show_default=True,
    help="Name of the registered model.",
    envvar="REGISTRY_MODEL",
)
_reason = click.option(
    "--reason", default="", help="Reason, recorded in the ledger and as a tag of the version."
)
_actor = click.option(
    "--actor",
    default=getpass.getuser,
    show_default="your user name",
    help="Your name for the ledger. A registry with sign-in records the signed-in user instead.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Run the model registry, and choose the version that is served.

    Without a command it prints this help; `python -m toxic_registry` runs the server.
    """


@commands.command()
def serve() -> None:
    """Run the registry; REGISTRY_… variables configure it."""
    from toxic_registry.server.serve import serve as run  # noqa: PLC0415

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
    caller = Caller(actor=actor, reason=override or reason, override=bool(override))
    click.echo(str(_connect(registry_uri, model).promote(version_or_alias, caller)))


@commands.command("adopt-baseline")
@click.argument("version_or_alias", default=CHALLENGER)
@_reason
@_actor
@_model
@_registry_uri
def adopt_baseline(version_or_alias: str, *, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """Make the model that ships with this release the champion.

    Register it before: `make adopt-baseline` does both. It is compared with the champion on the sources of
    comments that both were measured on, so that a champion of an older release doesn't block it.
    """
    caller = Caller(actor=actor, reason=reason, adopt=True)
    click.echo(str(_connect(registry_uri, model).promote(version_or_alias, caller)))


@commands.command()
@click.argument("version_or_alias")
@_model
@_registry_uri
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
@_reason
@_actor
@_model
@_registry_uri
def rollback(*, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """Make the previous champion the champion again."""
    caller = Caller(actor=actor, reason=reason or "rollback")
    click.echo(str(_connect(registry_uri, model).roll_back(caller)))


@commands.command()
@click.argument("version_or_alias")
@_reason
@_actor
@_model
@_registry_uri
def canary(version_or_alias: str, *, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """Let a version that passes the gate answer INFERENCE_CANARY_FRACTION of the callers.

    It ends when the version is promoted, or with `withdraw`.
    """
    number = _connect(registry_uri, model).try_out(version_or_alias, Caller(actor=actor, reason=reason))
    click.echo(f"canary: {model} version {number}")


@commands.command()
@_reason
@_actor
@_model
@_registry_uri
def withdraw(*, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """End the canary's trial: the champion answers every caller."""
    caller = Caller(actor=actor, reason=reason or "withdrawn")
    click.echo(f"canary: {_connect(registry_uri, model).withdraw(caller)} -> none")


@commands.command()
@click.option(
    "--prometheus",
    envvar="REGISTRY_PROMETHEUS_URL",
    default="http://127.0.0.1:9090",
    show_default=True,
    show_envvar=True,
    help="Address of Prometheus, which has the figures to decide by.",
)
@click.option(
    "--compared", default=1_000, show_default=True, help="Texts that the shadow must have compared."
)
@click.option(
    "--disagreement",
    default=0.1,
    show_default=True,
    help="Largest share of them that the challenger may decide differently.",
)
@click.option("--trial-minutes", default=60.0, show_default=True, help="How long a canary is tried out.")
@click.option("--sessions", default=500, show_default=True, help="Requests that it must have answered.")
@click.option("--interval-seconds", default=30.0, show_default=True, help="Time between two looks.")
@_model
@_registry_uri
def autopilot(
    *,
    prometheus: str,
    compared: int,
    disagreement: float,
    trial_minutes: float,
    sessions: int,
    interval_seconds: float,
    model: str,
    registry_uri: str,
) -> None:
    """Promote challengers without a hand, until it is ended: shadow, gate, canary, champion, or back.

    A challenger that agrees with the champion becomes canary through the gate, and champion after its trial.
    One that fails is withdrawn. A champion that was promoted so is rolled back if alerts fire within the same
    time.
    """
    from toxic_registry.client import autopilot as pilot  # noqa: PLC0415

    terms = pilot.Terms(compared, disagreement, timedelta(minutes=trial_minutes), sessions)
    query = pilot.prometheus(prometheus)
    while True:
        try:
            client = _connect(registry_uri, model)
            entries = [entry for entry in client.ledger().entries if entry.model == model]
            if step := pilot.next_step(entries, terms, query, now=datetime.now(UTC)):
                click.echo(f"{step[0]}: {model} version {step[1]}")
                pilot.take(*step, client)
        except ToxicError as error:
            click.echo(f"toxic-registry: {error}", err=True)  # looked at again after the interval
        time.sleep(interval_seconds)


@commands.command()
@_model
@_registry_uri
def history(model: str, registry_uri: str) -> None:
    """List every change of an alias (accepted, refused or overridden), the newest first."""
    entries = _connect(registry_uri, model).ledger().entries
    click.echo(report.ledger([entry for entry in entries if entry.model == model]))


@commands.command()
@click.option(
    "--head",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of your own, away from the registry, with the head of the last time; compared, then replaced.",
)
@_registry_uri
def verify(head: Path | None, registry_uri: str) -> None:
    """Verify the ledger's hash chain, and that the ledger agrees with its head and with the aliases."""
    ledger = _connect(registry_uri, MODEL_NAME).ledger()
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
        if (kept := read_head(head)) is not None:
            # The key of the first time: another one means another registry.
            verify_head(ledger.entries, kept, key=kept.signature.key)
            if ledger.head is None or ledger.head.signature.key != kept.signature.key:
                raise LedgerError(f"The head isn't signed by the key of {head}; is it another registry?")
        if ledger.head is not None:
            write_head(head, ledger.head)
    verify_champions(ledger.entries)
    verify_aliases(ledger.entries, ledger.aliases)
    click.echo(f"The ledger is intact: {count} entries, in agreement with the aliases.")
    if ledger.head is not None:
        click.echo(f"head: {ledger.head.size} {ledger.head.hash}")


@commands.command("champion-at")
@click.argument("moment")
@_model
@_registry_uri
def champion_at(moment: str, model: str, registry_uri: str) -> None:
    """Print the version that was champion at a time, such as 2026-11-23T10:00Z."""
    try:
        until = datetime.fromisoformat(moment)
    except ValueError as error:
        raise ConfigurationError(f"{moment!r} isn't a time, such as 2026-11-23T10:00Z.") from error
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    aliases = aliases_of(_connect(registry_uri, model).ledger().entries, until=until)
    click.echo(str(aliases.get((model, CHAMPION), "none")))


@commands.command()
@_model
@_registry_uri
def versions(model: str, registry_uri: str) -> None:
    """List every version, the newest first."""
    client = _connect(registry_uri, model)
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
@_model
@_registry_uri
def show(model: str, registry_uri: str) -> None:
    """Show the version of each alias, with its tags."""
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


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(name_faults(error, prefix="REGISTRY_")) from error


def _connect(uri: str, model: str) -> "RegistryClient":
    from toxic_registry.client.registry_client import RegistryClient, bound_retries  # noqa: PLC0415

    bound_retries()
    return RegistryClient(uri, model=model)
