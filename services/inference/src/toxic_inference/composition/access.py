"""Who may use the service, and how much."""

import time

import structlog

from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.key_file import KeyFile
from toxic_inference.http.admission import AdmissionRules, RequestLimit
from toxic_inference.http.guard import GuardRules
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.settings import Settings

_log = structlog.get_logger(__name__)


def check_guarded(settings: Settings) -> None:
    """Refuse settings by which other machines could use the service without keys.

    Raises:
        ConfigurationError: they could.
    """
    if settings.api_keys_file is None and not settings.loopback and not settings.allow_unauthenticated:
        raise ConfigurationError(
            f"Other machines could use the service on {settings.host} without API keys. Make a key with "
            "`toxic-inference keys add NAME` and set INFERENCE_API_KEYS_FILE, set INFERENCE_HOST=127.0.0.1, "
            "or set INFERENCE_ALLOW_UNAUTHENTICATED=true if nothing that reaches it needs a key."
        )


def make_rules(settings: Settings, manager: Manager) -> tuple[GuardRules, AdmissionRules]:
    """Return the rules of API keys, and those of admission control."""
    keys = settings.api_keys_file
    if keys is None and not settings.loopback:
        _log.warning("service.unguarded", host=settings.host, advice="set INFERENCE_API_KEYS_FILE")
    rules = GuardRules(
        find_key=None if keys is None else KeyFile(keys).find,
        requests_per_minute=settings.requests_per_minute,
        trusted=settings.loopback,
        now=time.monotonic,
    )
    limit = RequestLimit(settings.max_queue_seconds)
    return rules, AdmissionRules(limit, overload=manager.overload, find_key=rules.find_key)
