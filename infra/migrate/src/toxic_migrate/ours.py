"""Scores the comments of a migration here: by a running service, or by a bundle in a folder."""

import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import numpy as np

from toxic_core.contract.scales import Scales
from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_core.labels import perspective_attribute
from toxic_migrate.tables import Floats, Scored

SERVICE_KEY_VARIABLE = "TOXIC_API_KEY"

_TEXTS = 100
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Ours:
    """This side's scores of the same comments.

    Attributes:
        version: of the model.
        languages: of each comment, stated or identified.
        calibrated: scores by attribute, float64 [comments].
        scales: the scale on which clients of the Perspective API get them; None if they are calibrated.
    """

    version: str
    languages: tuple[str, ...]
    calibrated: dict[str, Floats]
    scales: Scales | None


def score_by_service(
    comments: Scored, *, address: str, key: str, transport: httpx.BaseTransport | None = None
) -> Ours:
    """Score comments by the service at an address; `transport` is that of its client.

    Raises:
        ConfigurationError: it doesn't answer, refuses the key, has no scale, or changes its version.
        InvalidDataError: it refuses a comment.
    """
    languages, version = list(comments.languages), ""
    scores: dict[str, Floats] = {}
    headers = {"x-api-key": key} if key else {}
    with httpx.Client(base_url=address, headers=headers, timeout=120, transport=transport) as client:
        scales = _scales(client)  # first, because scoring may take hours
        for language in sorted(set(comments.languages)):
            rows = [row for row, code in enumerate(comments.languages) if code == language]
            for start in range(0, len(rows), _TEXTS):
                part = rows[start : start + _TEXTS]
                request = {"texts": [comments.texts[row] for row in part], "identify_language": True}
                stated = {"lang": language} if language else {}
                answer = _ask(client, "POST", "/predict", request | stated).json()
                if version not in {"", answer["model_version"]}:
                    raise ConfigurationError(
                        f"{client.base_url} changed from version {version} to {answer['model_version']} "
                        "meanwhile; run the command again."
                    )
                version = answer["model_version"]
                for row, result in zip(part, answer["results"], strict=True):
                    languages[row] = result["language"]
                    for label, score in result["scores"].items():
                        column = scores.setdefault(
                            perspective_attribute(label), np.full(len(comments.texts), np.nan)
                        )
                        column[row] = score
    return Ours(version, tuple(languages), scores, scales)


def score_by_bundle(comments: Scored, *, folder: Path) -> Ours:
    """Score comments by the bundle in a folder.

    Raises:
        ConfigurationError: the extra `bundle` isn't installed.
        ContractError: it is no bundle.
        InvalidTextError: a comment is empty, or its language is no code.
    """
    try:
        import toxic_model  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ConfigurationError(
            "To score by a bundle, install the extra: pip install 'toxic-migrate[bundle]'."
        ) from error
    model = toxic_model.load(folder, threads=0)
    found = model.score(comments.texts, [stated or None for stated in comments.languages])
    columns = {
        perspective_attribute(label): np.array([result.scores[label] for result in found])
        for label in model.labels
    }
    model.loaded.close()
    languages = tuple(result.language for result in found)
    return Ours(model.version, languages, columns, model.loaded.scales)


def _scales(client: httpx.Client) -> Scales | None:
    answer = _ask(client, "GET", "/v1alpha1/scale")
    try:
        shown = answer.json()
        if not shown["curves"]:
            return None
        return Scales.model_validate({"source": shown["source"], "curves": shown["curves"]})
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"The answer of {client.base_url} has no scale, so it isn't this service; check --address."
        ) from error


def _ask(
    client: httpx.Client, method: str, path: str, request: dict[str, object] | None = None
) -> httpx.Response:
    for attempt in range(_TRIES):
        try:
            answer = client.request(method, path, json=request)
        except httpx.RequestError as error:
            raise ConfigurationError(
                f"{client.base_url} doesn't answer ({type(error).__name__}); check --address."
            ) from error
        if answer.status_code not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            break
        time.sleep(min(2.0**attempt, 30))
    if answer.is_success:
        return answer
    message = f"{client.base_url} answers with status {answer.status_code}: {answer.text[:200]}"
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise InvalidDataError(message)
    raise ConfigurationError(f"{message} Check --address, and the key in {SERVICE_KEY_VARIABLE}.")
