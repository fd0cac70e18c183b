"""API keys, as Google's front end answers for them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_testing.inference.perspective import ANALYZE, SUGGEST, asked, error_of

pytestmark = pytest.mark.anyio

KEY, STORED = new_key("forum", Role.CLIENT)


@pytest.fixture
async def keyed(backend: Backend, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with a key and a quota of two requests."""
    save_keys(tmp_path / "keys.txt", (STORED,))
    rules = GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find, requests_per_minute=2)
    transport = httpx.ASGITransport(create_api(backend, DOORS, rules=rules))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.mark.parametrize(
    "given",
    [
        {"params": {"key": "wrong"}},
        {"headers": {"x-goog-api-key": f"{KEY}x"}},
        {"headers": {"authorization": "Bearer ya29.foreign"}},
        {"params": {"key": "wrong"}, "headers": {"x-api-key": "wrong"}},
    ],
)
async def test_a_wrong_key_is_invalid(keyed: httpx.AsyncClient, given: dict[str, Any]) -> None:
    """Status, message and reason are those that clients look for; no challenge that httplib2 can't read."""
    answer = await keyed.post(ANALYZE, json=asked(), **given)
    error = error_of(answer, 400, "INVALID_ARGUMENT")
    assert error["message"] == "API key not valid. Please pass a valid API key."
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (detail["reason"], detail["domain"]) == ("API_KEY_INVALID", "googleapis.com")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    "given",
    [{}, {"params": {"key": ""}}, {"headers": {"authorization": "Basic Zm9v"}}, {"params": {"alt": "json"}}],
)
async def test_a_missing_key_is_forbidden(keyed: httpx.AsyncClient, given: dict[str, Any]) -> None:
    """On every path of the door."""
    for path in (ANALYZE, SUGGEST, "/v1alpha1/nothing"):
        answer = await keyed.post(path, json=asked(), **given)
        error = error_of(answer, 403, "PERMISSION_DENIED")
        assert error["message"] == "The request is missing a valid API key."
        assert "www-authenticate" not in answer.headers


async def test_over_quota_the_text_is_googles(keyed: httpx.AsyncClient) -> None:
    """Some clients wait only if it begins so."""
    for _ in range(2):
        assert (await keyed.post(ANALYZE, params={"key": KEY}, json=asked())).status_code == 200
    answer = await keyed.post(ANALYZE, params={"key": KEY}, json=asked())
    assert error_of(answer, 429, "RESOURCE_EXHAUSTED")["message"].startswith("Quota exceeded")
    assert int(answer.headers["retry-after"]) > 0
