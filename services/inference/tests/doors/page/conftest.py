"""The page in a real Chromium, over the real application and a fake core."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette

from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_testing.inference.browser import open_chromium

# For a busy machine; every wait ends as soon as its condition holds.
PATIENCE_MILLISECONDS = 20_000


@dataclass(frozen=True, slots=True)
class Site:
    """The application, listening; its event loop is on a thread of its own."""

    address: str
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[], object]) -> None:
        """Call what belongs to the application's event loop."""
        self.loop.call_soon_threadsafe(function)


@pytest.fixture
def serve(backend: Backend) -> Iterator[Callable[..., Site]]:
    """Return the function that lets the application listen, once in a test."""
    loops: list[asyncio.AbstractEventLoop] = []
    running = threading.Event()
    ends: list[Callable[[], None]] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        loops.append(asyncio.get_running_loop())
        jobs = asyncio.create_task(backend.jobs.run())
        running.set()
        yield
        jobs.cancel()
        with suppress(asyncio.CancelledError):
            await jobs

    def start(rules: GuardRules | None = None) -> Site:
        app = create_api(backend, DOORS, rules=rules or GuardRules(), lifespan=lifespan)
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()

        def end() -> None:
            server.should_exit = True
            thread.join(timeout=30)
            listening.close()

        ends.append(end)
        assert running.wait(timeout=30)
        return Site(f"http://127.0.0.1:{listening.getsockname()[1]}", loops[0])

    yield start
    for end in ends:
        end()


# For a module: while it is open, no other event loop may run in this thread, as other modules' tests do.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[Site], Page]]:
    """Return the function that opens a tab; a request to another host or an error fails the test."""
    context = browser.new_context(accept_downloads=True, color_scheme="light")
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    faults: list[str] = []
    addresses: list[str] = []
    context.on("request", lambda request: addresses.append(request.url))
    context.on("weberror", lambda error: faults.append(str(error.error)))
    # An answer like 422 is logged there too; the tests check what the page shows then.
    context.on(
        "console",
        lambda message: (
            faults.append(message.text)
            if message.type == "error" and not message.text.startswith("Failed to load resource")
            else None
        ),
    )
    sites: list[Site] = []

    def open_page(site: Site, path: str = "/") -> Page:
        sites.append(site)
        tab = context.new_page()
        tab.goto(site.address + path)
        return tab

    yield open_page
    context.close()
    own = tuple(f"{site.address}/" for site in sites)
    assert faults == []
    assert addresses
    assert [address for address in addresses if not address.startswith((*own, "data:", "blob:"))] == []


@pytest.fixture
def site(serve: Callable[..., Site]) -> Site:
    """The application without keys."""
    return serve()


@pytest.fixture
def page(visit: Callable[[Site], Page], site: Site) -> Page:
    """A tab with the page."""
    return visit(site)
