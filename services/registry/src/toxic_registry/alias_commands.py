"""The commands that change aliases, and what every client command shares: its options and its connection."""

import getpass
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from toxic_core.errors import ToxicError
from toxic_core.registered import CHALLENGER, MODEL_NAME
from toxic_registry.caller import Caller

if TYPE_CHECKING:
    from toxic_registry.client.registry_client import RegistryClient

registry_option = click.option(
    "--registry-uri",
    envvar=["REGISTRY_URI", "MLFLOW_TRACKING_URI"],
    default="http://127.0.0.1:5000",
    show_default=True,
    show_envvar=True,
    help="Address of the running registry.",
)
model_option = click.option(
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


def connect(uri: str, model: str) -> "RegistryClient":
    """Return a client of the registry at an address, which fails soon if that doesn't answer."""
    from toxic_registry.client.registry_client import RegistryClient, bound_retries  # noqa: PLC0415

    bound_retries()
    return RegistryClient(uri, model=model)


@click.command()
@click.argument("version_or_alias")
@_reason
@_actor
@click.option("--override", default="", metavar="REASON", help="Promote against the gate, for this reason.")
@model_option
@registry_option
def promote(
    version_or_alias: str, *, reason: str, actor: str, override: str, model: str, registry_uri: str
) -> None:
    """Make a version (a number, or an alias such as `challenger`) the champion."""
    caller = Caller(actor=actor, reason=override or reason, override=bool(override))
    click.echo(str(connect(registry_uri, model).promote(version_or_alias, caller)))


@click.command("adopt-baseline")
@click.argument("version_or_alias", default=CHALLENGER)
@_reason
@_actor
@model_option
@registry_option
def adopt_baseline(version_or_alias: str, *, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """Make the model that ships with this release the champion.

    Register it before: `make adopt-baseline` does both. It is compared with the champion on the sources of
    comments that both were measured on, so that a champion of an older release doesn't block it.
    """
    caller = Caller(actor=actor, reason=reason, adopt=True)
    click.echo(str(connect(registry_uri, model).promote(version_or_alias, caller)))


@click.command()
@_reason
@_actor
@model_option
@registry_option
def rollback(*, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """Make the previous champion the champion again."""
    caller = Caller(actor=actor, reason=reason or "rollback")
    click.echo(str(connect(registry_uri, model).roll_back(caller)))


@click.command()
@click.argument("version_or_alias")
@_reason
@_actor
@model_option
@registry_option
def canary(version_or_alias: str, *, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """Let a version that passes the gate answer INFERENCE_CANARY_FRACTION of the callers.

    It ends when the version is promoted, or with `withdraw`.
    """
    number = connect(registry_uri, model).try_out(version_or_alias, Caller(actor=actor, reason=reason))
    click.echo(f"canary: {model} version {number}")


@click.command()
@_reason
@_actor
@model_option
@registry_option
def withdraw(*, reason: str, actor: str, model: str, registry_uri: str) -> None:
    """End the canary's trial: the champion answers every caller."""
    caller = Caller(actor=actor, reason=reason or "withdrawn")
    click.echo(f"canary: {connect(registry_uri, model).withdraw(caller)} -> none")


@click.command()
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
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Largest share of them that the challenger may decide differently, of its worst label, from 0 to 1.",
)
@click.option("--trial-minutes", default=60.0, show_default=True, help="How long a canary is tried out.")
@click.option("--sessions", default=500, show_default=True, help="Requests that it must have answered.")
@click.option("--interval-seconds", default=30.0, show_default=True, help="Time between two looks.")
@model_option
@registry_option
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
            client = connect(registry_uri, model)
            entries = [entry for entry in client.ledger().entries if entry.model == model]
            if step := pilot.next_step(entries, terms, query, now=datetime.now(UTC)):
                click.echo(f"{step[0]}: {model} version {step[1]}")
                pilot.take(*step, client)
        except ToxicError as error:
            click.echo(f"toxic-registry: {error}", err=True)  # looked at again after the interval
        time.sleep(interval_seconds)


ALIAS_COMMANDS = (promote, adopt_baseline, rollback, canary, withdraw, autopilot)
