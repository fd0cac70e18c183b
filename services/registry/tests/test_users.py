import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from toxic_core.errors import ConfigurationError
from toxic_registry.caller import Role
from toxic_registry.server.auth import BasicAuthMiddleware
from toxic_registry.server.lockout import Lockout
from toxic_registry.server.middleware import SIGNED_IN
from toxic_registry.server.users import User, Users, parse_users, read_users, user_line

Write = Callable[[str], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one user of each role, by the role's name, and one line of an older release."""
    path = tmp_path / "users"
    lines = [user_line(role.name.lower(), "secret", role) for role in Role]
    path.write_text("\n".join([*lines, user_line("old", "secret", Role.READER).rpartition(" ")[0]]))
    return path


def test_roles_are_read(path: Path) -> None:
    """A line without one allows what it allowed before there were roles."""
    roles = {name: user.role for name, user in read_users(path).items()}
    assert roles == {role.name.lower(): role for role in Role} | {"old": Role.OVERRIDE}


def test_removed_user_is_out_at_once(path: Path) -> None:
    """Also if the file keeps its modification time, and if the password was checked before."""
    users = Users(path)
    reader = users.find("reader")
    assert reader is not None
    assert users.check(reader, "secret")
    assert users.was_valid(reader, "secret")
    times = path.stat()
    path.write_text(user_line("other", "secret", Role.READER))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert users.find("reader") is None


def test_changed_password_is_needed_at_once(path: Path) -> None:
    """What was valid for the old one isn't for the new one."""
    users = Users(path)
    users.check(users.find("reader"), "secret")
    path.write_text(user_line("reader", "another", Role.READER))
    reader = users.find("reader")
    assert reader is not None
    assert not users.was_valid(reader, "secret")
    assert not users.check(reader, "secret")
    assert users.check(reader, "another")


def test_file_that_cannot_be_read_has_no_users(path: Path) -> None:
    """Until it can be read again."""
    users, content = Users(path), path.read_text()
    path.unlink()
    assert users.find("reader") is None
    path.write_text("nonsense")
    assert users.find("reader") is None
    path.write_text(content)
    assert users.find("reader") is not None


def test_a_file_that_cannot_be_read_gives_no_fixed_user_back(path: Path) -> None:
    """The file demotes an admin: a fault of the file doesn't undo that."""
    users = Users(path, parse_users("reader:other override, ops:abc override"))
    for _ in range(2):
        path.write_text("nonsense\n" + path.read_text())
        assert users.find("reader") is None
        assert users.find("ops") is not None, "the file didn't have that name"


def test_users_of_a_setting_sign_in_without_a_file() -> None:
    """Each with its role; a password may have colons and spaces."""
    users = Users(None, parse_users("ops:p:s s override, inference:abc reader,"))
    for name, password, role in (("ops", "p:s s", Role.OVERRIDE), ("inference", "abc", Role.READER)):
        found = users.find(name)
        assert found is not None
        assert found.role is role
        assert users.check(found, password)
        assert not users.check(found, "x")
    assert users.find("") is None


def test_the_file_s_user_counts_before_the_setting_s(path: Path) -> None:
    """A password can be changed without a restart; with the line removed, the setting's counts again."""
    users = Users(path, parse_users("reader:other override"))
    assert users.find("reader") == read_users(path)["reader"]
    path.write_text(user_line("zoe", "secret", Role.READER))
    found = users.find("reader")
    assert found is not None
    assert found.role is Role.OVERRIDE


@pytest.mark.parametrize("text", ["zoe", "zoe:secret", "zoe: reader", ":secret reader", "zoe:secret root"])
def test_a_user_of_the_setting_that_is_none_stops_the_start(text: str) -> None:
    """The message has the name and the roles, and never the password."""
    with pytest.raises(ConfigurationError, match="reader, writer, promoter, override") as raised:
        parse_users(f"ops:fine reader,{text}")
    assert "secret" not in str(raised.value)


def test_unknown_role_is_an_error_that_lists_the_roles(tmp_path: Path) -> None:
    """A misspelt role isn't the highest one."""
    (tmp_path / "users").write_text("zoe:scrypt:x root\n")
    with pytest.raises(ConfigurationError, match="reader, writer, promoter, override"):
        read_users(tmp_path / "users")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def test_failures_cost_time_that_doubles() -> None:
    """The first ones are free: people mistype."""
    clock = Clock()
    lockout = Lockout(clock)
    waits = []
    for _ in range(15):
        lockout.failed("zoe", "1.2.3.4")
        waits.append(lockout.wait_seconds("zoe", "1.2.3.4"))
        clock.seconds += waits[-1]
    assert waits == [0, 0, 0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert lockout.wait_seconds("zoe", "1.2.3.4") == 0
    clock.seconds += 4000
    lockout.failed("zoe", "1.2.3.4")
    assert lockout.wait_seconds("zoe", "1.2.3.4") == 0, "an hour later all is forgotten"


def test_guesser_of_many_names_is_slowed_down_by_address() -> None:
    """Others at the same address wait for half a minute at most, and users at others not at all."""
    lockout = Lockout(Clock())
    for number in range(100):
        lockout.failed(f"user-{number}", "1.2.3.4")
    assert lockout.wait_seconds("somebody", "1.2.3.4") == 30
    assert lockout.wait_seconds("user-1", "5.6.7.8") == 0


def test_guessers_at_many_addresses_are_slowed_down_by_user() -> None:
    """And the user's own sign-in is delayed by half a minute at most."""
    lockout = Lockout(Clock())
    for number in range(100):
        lockout.failed("zoe", f"10.0.0.{number}")
    assert lockout.wait_seconds("zoe", "5.6.7.8") == 30


def test_right_password_forgets_the_failures() -> None:
    """At this address."""
    lockout = Lockout(Clock())
    for _ in range(6):
        lockout.failed("zoe", "1.2.3.4")
    lockout.succeeded("zoe", "1.2.3.4")
    assert lockout.wait_seconds("zoe", "1.2.3.4") == 0


def test_table_of_failures_is_bounded() -> None:
    """Whatever names a guesser makes up."""
    lockout = Lockout(Clock())
    for number in range(11_000):
        lockout.failed(f"user-{number}", f"address-{number}")
    assert len(lockout._failures) == 10_000


@pytest.fixture
def client(path: Path) -> TestClient:
    """A client of an app that answers with its caller's name and role."""

    async def whoami(request: Request) -> PlainTextResponse:
        name, role = request.scope[SIGNED_IN]
        await asyncio.sleep(0)
        return PlainTextResponse(f"{name} {role.name}")

    app = Starlette(routes=[Route("/", whoami)])
    app.add_middleware(BasicAuthMiddleware, users=Users(path))
    return TestClient(app)


def test_signed_in_user_has_the_file_s_role(client: TestClient) -> None:
    """The app behind the middleware gets both."""
    assert client.get("/", auth=("writer", "secret")).text == "writer WRITER"


class SlowUsers(Users):
    """Users with passwords that take as long to check as a test wants."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.going = threading.Event()
        self.going.set()
        self.threads: set[str] = set()

    def check(self, user: User | None, password: str) -> bool:
        """Wait, and check."""
        self.threads.add(threading.current_thread().name)
        assert self.going.wait(60)
        return super().check(user, password)


@pytest.mark.hostile(32)
def test_passwords_are_hashed_beside_the_requests(path: Path) -> None:
    """One at a time: meanwhile known passwords are answered, few guesses wait, and others are refused."""
    users = SlowUsers(path)
    app = BasicAuthMiddleware(Starlette(routes=[Route("/", lambda _: PlainTextResponse("in"))]), users=users)

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            assert (await client.get("/", auth=("writer", "secret"))).text == "in"
            users.going.clear()
            guesses = [asyncio.create_task(client.get("/", auth=("reader", f"{n}"))) for n in range(20)]
            while sum(guess.done() for guess in guesses) < 4:  # noqa: ASYNC110  their answers
                await asyncio.sleep(0)
            assert (await client.get("/", auth=("writer", "secret"))).text == "in"
            users.going.set()
            return [(await guess).status_code for guess in guesses]

    statuses = asyncio.run(asyncio.wait_for(ask(), 60))
    assert statuses == [401] * 6 + [429] * 10 + [503] * 4
    assert users.threads == {"passwords_0"}


def test_wrong_passwords_are_answered_with_a_wait(client: TestClient) -> None:
    """The right one waits too, unless another user's was checked before."""
    assert client.get("/", auth=("promoter", "secret")).status_code == 200
    assert client.get("/", auth=("writer", "secret")).status_code == 200
    statuses = [client.get("/", auth=("reader", f"guess {number}")).status_code for number in range(8)]
    assert statuses == [401] * 6 + [429] * 2
    locked = client.get("/", auth=("reader", "secret"))
    assert (locked.status_code, int(locked.headers["retry-after"]) >= 1) == (429, True)
    for number in range(6):
        client.get("/", auth=("promoter", f"guess {number}"))
    assert client.get("/", auth=("promoter", "secret")).status_code == 429, "it would tell that it is right"
    assert client.get("/", auth=("writer", "secret")).status_code == 200
