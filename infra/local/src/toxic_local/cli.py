"""The command line of `toxic-local`.

An expected error ends with one line on stderr with what to do, after the end of
the log, and exit status 1. Ctrl-C ends the demo with status 0.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from toxic_core.errors import ToxicError
from toxic_local import __version__
from toxic_local.errors import ProcessFailedError, StopRequestedError
from toxic_local.plan import Commands
from toxic_local.process import last_lines
from toxic_local.scenarios import SIGNALLED, demo, serve, ui, with_registry
from toxic_local.steps import say
from toxic_local.stop import stop_on_signals


def main(arguments: Sequence[str] | None = None, *, commands: Commands | None = None) -> None:
    """Run one command and exit with its status.

    Args:
        arguments: of the command line; default: this process's.
        commands: the programs to start, so that tests can name their own.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    # Split by hand: how argparse treats a second `--`, the command's own, differs between Python versions.
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        prog="toxic-local",
        description="The stack as processes of this machine. Without a command it does nothing; "
        "begin with `toxic-local demo`. Everything is kept in TOXIC_STATE_DIR (default: var).",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    actions = parser.add_subparsers(dest="action", required=True, title="commands", metavar="COMMAND")
    actions.add_parser("demo", help="serve the shipped model and train a challenger, until Ctrl-C")
    actions.add_parser("serve", help="serve the champion of the local registry until Ctrl-C")
    actions.add_parser("ui", help="show the local registry on MLflow's page until Ctrl-C")
    around = actions.add_parser("with-registry", help="run a command with a registry to talk to")
    around.usage = "toxic-local with-registry -- COMMAND …"
    action, command = parser.parse_args(words[:at]).action, words[at + 1 :]
    if (action == "with-registry") != bool(command):
        parser.error("a command after -- goes with with-registry, and only there")
    programs = commands or Commands()
    status = 1
    with stop_on_signals() as stop:
        try:
            if action == "with-registry":
                status = with_registry(command, os.environ, commands=programs, stop=stop)
            else:
                status = {"demo": demo, "serve": serve, "ui": ui}[action](
                    os.environ, commands=programs, stop=stop
                )
        except StopRequestedError as stopped:
            say("Stopped.", out=sys.stderr)
            status = SIGNALLED + stopped.signum if action == "with-registry" else 0
        except ProcessFailedError as failed:
            for line in last_lines(failed.log) if failed.log else ():
                say(f"  | {line}", out=sys.stderr)
            say(f"toxic-local: {failed}", out=sys.stderr)
        except ToxicError as error:
            say(f"toxic-local: {error}", out=sys.stderr)
    sys.exit(status)
