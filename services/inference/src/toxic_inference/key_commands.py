"""`toxic-inference keys`: make, list and remove API keys.

Invariant: a new key is printed once, on standard output and alone, so that it can be piped to where it is
kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.key_file import load_keys, save_keys
from toxic_inference.keys import Role, new_key


def run_key_command(arguments: Sequence[str], *, default_file: Path) -> None:
    """Run one command.

    Args:
        arguments: without the program's name.
        default_file: where keys are, unless `--file` says otherwise.

    Raises:
        ConfigurationError: the file can't be used, or has the name already, or hasn't.
    """
    asked = _parser(default_file).parse_args(arguments)
    if asked.command == "add":
        _add(asked.file, asked.name, Role(asked.role))
    elif asked.command == "remove":
        _remove(asked.file, asked.name)
    else:
        sys.stdout.writelines(f"{key.name}\t{key.role}\n" for key in load_keys(asked.file))


def _parser(default_file: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="toxic-inference")
    keys = parser.add_subparsers(required=True).add_parser("keys", help="API keys")
    commands = keys.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="make a key and print it, this once")
    add.add_argument("name", help="who gets it; stands in logs")
    add.add_argument(
        "--role", choices=list(Role), default=Role.CLIENT, help="operators also read corrections"
    )
    remove = commands.add_parser("remove", help="refuse a key from now on")
    remove.add_argument("name")
    listing = commands.add_parser("list", help="print names and roles")
    for command in (add, remove, listing):
        command.add_argument("--file", type=Path, default=default_file, help="default: %(default)s")
    return parser


def _add(file: Path, name: str, role: Role) -> None:
    known = load_keys(file) if file.exists() else ()
    if any(key.name == name for key in known):
        raise ConfigurationError(
            f"There is a key named {name!r} already; remove it first, or choose another."
        )
    secret, key = new_key(name, role)
    save_keys(file, (*known, key))
    sys.stdout.write(f"{secret}\n")
    sys.stderr.write(f"Kept as {name!r} in {file}; set INFERENCE_API_KEYS_FILE={file} to ask for keys.\n")


def _remove(file: Path, name: str) -> None:
    known = load_keys(file)
    left = tuple(key for key in known if key.name != name)
    if left == known:
        raise ConfigurationError(f"There is no key named {name!r} in {file}.")
    save_keys(file, left)
