"""The versions that were served last, in a small file beside the cached bundles.

Invariant: the file is replaced atomically. A file that can't be read, or that is about another registry,
counts as no saved state.
"""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from toxic_core.files import replacing
from toxic_inference.serving.interfaces import AspiredVersion, ServableId

_log = structlog.get_logger(__name__)


class _Route(BaseModel):
    model_config = ConfigDict(frozen=True)

    version: str
    fingerprint: str
    digest: str | None = None
    aliases: tuple[str, ...]


class _Routes(BaseModel):
    model_config = ConfigDict(frozen=True)

    registry: str
    routes: tuple[_Route, ...]


@dataclass(frozen=True, slots=True)
class ServedFile:
    """Remembers across restarts what was served, for a start without the registry.

    Attributes:
        path: a JSON file.
        registry: the registry that the versions come from.
        require_approval: whether a version of which no digest was saved needs the ledger's approval.
    """

    path: Path
    _: KW_ONLY
    registry: str
    require_approval: bool = False

    def recall(self) -> tuple[AspiredVersion, ...]:
        """Return the saved state of this registry, if any. Blocks."""
        try:
            remembered = _Routes.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            _log.warning("routes.unreadable", path=str(self.path), error=str(error))
            return ()
        if remembered.registry != self.registry:
            return ()
        unknown = "" if self.require_approval else None
        return tuple(
            AspiredVersion(
                ServableId(route.version, route.fingerprint, route.digest or unknown),
                frozenset(route.aliases),
            )
            for route in remembered.routes
        )

    def remember(self, served: tuple[AspiredVersion, ...]) -> None:
        """Replace what is remembered. A failed write is logged only, because serving continues without it."""
        routes = tuple(
            _Route(
                version=s.id.version,
                fingerprint=s.id.fingerprint,
                digest=s.id.digest,
                aliases=tuple(sorted(s.aliases)),
            )
            for s in served
        )
        content = _Routes(registry=self.registry, routes=routes).model_dump_json()
        try:
            with replacing(self.path) as partial:
                partial.write_text(content, encoding="utf-8")
        except OSError as error:
            _log.warning("routes.not_remembered", path=str(self.path), error=str(error))
