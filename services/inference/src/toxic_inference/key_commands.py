"""`toxic-inference keys`: create, list and remove API keys.

Invariant: a generated key is printed once, alone on standard output, so that it can be piped into a secret
store.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from toxic_core.errors import ConfigurationError
from toxic_inference import __version__
from toxic_inference.adapters.key_file import load_keys, save_keys
from toxic_inference.keys import Role, new_key


def run_key_command(arguments: Sequence[str], *, default_file: Path) -> None:
    """Run one command.

    Args:
        arguments: without the program's name.
        default_file: the file of keys without `--file`.

    Raises:
        ConfigurationError: the file can't be used, or the name exists already or does not exist.
    """
    parser = argparse.ArgumentParser(
        prog="toxic-inference",
        description="Score comments over HTTP and gRPC. Without arguments it serves the registry's champion "
        "on 127.0.0.1:8001 until a signal stops it; environment variables INFERENCE_… configure it.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    keys = parser.add_subparsers(required=True, title="commands", metavar="COMMAND").add_parser(
        "keys", help="create, list and remove API keys"
    )
    commands = keys.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="create a key and print it once")
    add.add_argument("name", help="the key's owner, for the log")
    add.add_argument(
        "--role", choices=list(Role), default=Role.CLIENT, help="operators also read corrections"
    )
    add.add_argument(
        "--value",
        metavar="KEY",
        help="keep a key that clients have, such as Google's; - reads standard input",
    )
    remove = commands.add_parser("remove", help="refuse a key from now on")
    remove.add_argument("name")
    for command in (add, remove, commands.add_parser("list", help="print names and roles")):
        command.add_argument("--file", type=Path, default=default_file, help="default: %(default)s")
    asked = parser.parse_args(arguments)
    file: Path = asked.file
    if asked.command == "list":
        sys.stdout.writelines(f"{key.name}\t{key.role}\n" for key in load_keys(file))
        return
    name: str = asked.name
    known = () if asked.command == "add" and not file.exists() else load_keys(file)
    others = tuple(key for key in known if key.name != name)
    if asked.command == "remove":
        if others == known:
            raise ConfigurationError(f"There is no key named {name!r} in {file}.")
        save_keys(file, others)
        return
    if others != known:
        raise ConfigurationError(f"There is already a key named {name!r}; remove it, or choose another name.")
    given: str | None = sys.stdin.readline().strip() if asked.value == "-" else asked.value
    secret, key = new_key(name, Role(asked.role), value=given)
    if owner := next((other.name for other in known if other.digest == key.digest), None):
        raise ConfigurationError(f"That key is {owner!r}'s already; give each owner a key.")
    save_keys(file, (*known, key))
    if given is None:
        sys.stdout.write(f"{secret}\n")
    sys.stderr.write(f"Saved as {name!r} in {file}; set INFERENCE_API_KEYS_FILE={file} to require keys.\n")
