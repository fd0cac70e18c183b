"""Which host names a service answers for, and which pages may change its state."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from toxic_core.errors import ToxicError

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PORT = re.compile(r":[0-9]*$")
_NOT_PUBLIC = re.compile(
    r"[^.]+|[0-9.]+|\[[0-9a-f:.]+\]|.+\.(?:localhost|local|internal|svc)|commentanalyzer\.googleapis\.com"
)
"""Names that a stranger's page can't make resolve to the service: those that no registrar sells, addresses,
and the Perspective API's own."""


class ForeignRequestError(ToxicError):
    """A request for another host, or a change from a page of another origin."""


class Addresses:
    """The names under which the service is called, and the pages that may change its state.

    Args:
        hosts: host names, each with or without a port; `*` for any. Loopback names always work. If there are
            none, names that aren't public do, and with `keys` every name.
        keys: whether the service has API keys, without which a page of a public name could call it after its
            name was made to resolve to the service (DNS rebinding).
        origins: origins of pages, such as `https://forum.example`, beside the service's own; `*` for any.
        public_url: the address at which clients reach the service, if it is set.
        hosts_setting: name of the setting with the hosts, for messages.
        origins_advice: how another origin gets in, for messages.
    """

    def __init__(
        self,
        hosts: Collection[str] = (),
        *,
        keys: bool = False,
        origins: Collection[str] = (),
        public_url: str | None = None,
        hosts_setting: str,
        origins_advice: str = "",
    ) -> None:
        self._hosts_setting = hosts_setting
        self._origins_advice = origins_advice
        self._origins = {origin.lower() for origin in origins}
        self._own = {host.lower() for host in hosts}
        self._any_host = "*" in hosts or (keys and not hosts)
        self._private_hosts = not hosts
        if public_url is not None:
            url = urlsplit(public_url.lower())
            # As browsers write it.
            host = url.netloc.removesuffix(":443" if url.scheme == "https" else ":80")
            self._origins.add(f"{url.scheme}://{host}")
            self._own.add(host)

    def check_host(self, headers: Headers) -> None:
        """Raise `ForeignRequestError` unless a request is for one of the hosts."""
        if self._any_host:
            return
        given = headers.getlist("host")
        host = given[0].lower() if len(given) == 1 else ""
        name = _PORT.sub("", host)
        # No browser leaves the header out.
        private = self._private_hosts and (not given or _NOT_PUBLIC.fullmatch(name))
        if not private and not {host, name} & (self._own | _LOOPBACK):
            raise ForeignRequestError(
                f"The service doesn't answer for the host {host[:100]!r}; use a name that "
                f"{self._hosts_setting} lists."
            )

    def check_origin(self, headers: Headers) -> None:
        """Raise `ForeignRequestError` if a request is from a page of another origin; scripts name none."""
        origin = headers.get("origin", "").lower()
        if {origin, "*"} & self._origins:
            return
        own = not origin or origin.partition("://")[2] in self._own | {headers.get("host", "").lower()}
        if not own or headers.get("sec-fetch-site") == "cross-site":
            message = f"Pages of other origins may not change anything here. {self._origins_advice}"
            raise ForeignRequestError(message.rstrip())
