"""Clients for Python, called as their READMEs do; prints what each call returns, as JSON.

    clients.py CLIENT TEXT

The packages are on PYTHONPATH. Programs with hosts of their own, such as garak, are loaded as a file, with
the few names that they import from their host.
"""

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

HOST = "https://commentanalyzer.googleapis.com"
SIX = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")
Calls = Iterator[tuple[str, Callable[[], Any]]]


def scores(answer: dict[str, Any]) -> dict[str, float]:
    """Return the summary scores of an answer."""
    return {name: each["summaryScore"]["value"] for name, each in answer["attributeScores"].items()}


def sample(text: str) -> Calls:
    """The Python sample of the API's documentation: no content type."""
    requests = import_module("requests")
    data = {"comment": {"text": text}, "languages": ["en"], "requestedAttributes": {"TOXICITY": {}}}
    url = f"{HOST}/v1alpha1/comments:analyze?key=KEY"
    yield "post(data=json.dumps(…))", lambda: scores(requests.post(url=url, data=json.dumps(data)).json())


def google(text: str) -> Calls:
    """Google's own client."""
    discovery = import_module("googleapiclient.discovery")
    service = discovery.build(
        "commentanalyzer",
        "v1alpha1",
        developerKey="KEY",
        discoveryServiceUrl=f"{HOST}/$discovery/rest?version=v1alpha1",
    )

    def request(*attributes: str) -> Any:
        asked = {"comment": {"text": text}, "requestedAttributes": {name: {} for name in attributes}}
        return service.comments().analyze(body=asked)

    def batched() -> dict[str, float]:
        answers: dict[str, Any] = {}
        batch = service.new_batch_http_request(
            callback=lambda identity, answer, error: answers.update({identity: error or scores(answer)})
        )
        for attribute in SIX:
            batch.add(request(attribute), request_id=quote(f"{attribute} {text}"))
        batch.execute()
        return {name: value for each in answers.values() for name, value in each.items()}

    suggestion = {
        "comment": {"text": text},
        "attributeScores": {"TOXICITY": {"summaryScore": {"value": 0}}},
        "clientToken": "token",
    }
    yield "analyze", lambda: scores(request(*SIX).execute())
    yield "suggestscore", lambda: service.comments().suggestscore(body=suggestion).execute()["clientToken"]
    yield "new_batch_http_request", batched
    yield "analyze, only FLIRTATION", lambda: request("FLIRTATION").execute()


def perspective(text: str) -> Calls:
    """PyPI's perspective."""
    api = import_module("perspective").PerspectiveAPI("KEY")
    options = {
        "comment_type": "PLAIN_TEXT",
        "context": [{"text": "Before."}],
        "requested_attributes": {"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.0}},
        "span_annotations": True,
        "languages": ["en"],
        "do_not_store": True,
        "client_token": "token",
        "session_id": "session",
        "community_id": "community",
    }
    suggestion = {"TOXICITY": {"summaryScore": {"value": 1.0}}}
    yield "score", lambda: api.score(text, tests=list(SIX))
    yield "analyze_comment, every option", lambda: scores(api.analyze_comment(text, **options))
    yield "suggest_score", lambda: api.suggest_score(text, suggestion, client_token="token")["clientToken"]


def perspective_py(text: str) -> Calls:
    """PyPI's perspective.py, which has percentages."""
    module = import_module("perspective")
    client = module.Client(token="KEY")

    def analyze(attributes: list[Any], language: str | None = "en") -> dict[str, float]:
        found = client.analyze(text, attributes, language=language)
        return {str(name): value / 100 for name, value in found.items()}

    groups = module.Attributes
    yield "analyze, Production", lambda: analyze([groups.Production])
    yield "analyze, the README's attributes", lambda: analyze([groups.TOXICITY, groups.INSULT])
    yield "analyze, no language", lambda: analyze([groups.Production], None)
    yield "analyze, Experimental", lambda: analyze([groups.Experimental])


def perspectiveapi(text: str) -> Calls:
    """PyPI's perspectiveapi, with every attribute that it has, as in its README."""
    module, blocking = import_module("perspective"), import_module("perspective.blocking")

    def given(score: Any) -> dict[str, float]:
        values = {name.upper(): getattr(score, name) for name in score.__slots__}
        return {name: value for name, value in values.items() if value is not None}

    yield "score", lambda: given(blocking.Perspective("KEY").score(text, list(module.Attribute)))
    yield (
        "await score",
        lambda: given(asyncio.run(module.Perspective("KEY").score(text, list(module.Attribute)))),
    )


def pyperspective(text: str) -> Calls:
    """PyPI's PyPerspective, which posts nothing to check its key."""
    client = import_module("PyPerspective.Perspective").Perspective("KEY")

    def get_score() -> dict[str, float]:
        found = client.get_score(text, tests=list(SIX), langs=["en"])
        assert [str(span) for span in found["TOXICITY"].spans] == [text]
        return {each.name: each.score for each in found.attributes}

    yield "get_score", get_score


def pyspective(text: str) -> Calls:
    """PyPI's PySpective."""
    api = import_module("pyspective.pyspective").PyspectiveAPI("KEY")
    yield "score", lambda: api.score(text)
    yield "suggest", lambda: api.suggest(text, 0)


def begentle(text: str) -> Calls:
    """PyPI's begentle."""
    analyzer = import_module("begentle").CommentAnalyzer("KEY")
    yield "analyze", lambda: {"TOXICITY": analyzer.analyze(text)}


def helm(text: str) -> Calls:
    """HELM's client: a batch, with the text as its parts' Content-ID."""
    cache, requests = import_module("helm.common.cache"), import_module("helm.common.perspective_api_request")
    client = import_module("helm.clients.perspective_api_client").PerspectiveAPIClient(
        "KEY", cache.BlackHoleCacheConfig()
    )

    def toxicity(texts: list[str]) -> dict[str, float]:
        found = client.get_toxicity_scores(requests.PerspectiveAPIRequest(text_batch=texts))
        assert found.success, found.error
        assert found.text_to_toxicity_attributes.keys() == set(texts)
        given = asdict(found.text_to_toxicity_attributes[texts[0]])
        return {name.removesuffix("_score").upper(): value for name, value in given.items() if value}

    yield "get_toxicity_scores", lambda: toxicity([text, "Have a lovely day!", f"{text} {'well ' * 4000}"])


def loaded(path: str, **modules: object) -> Any:
    """Return a module of a package on PYTHONPATH, without the package; `modules` are what it imports."""
    for name, value in modules.items():
        stub = ModuleType(name.replace("__", "."))
        stub.__dict__.update(value if isinstance(value, dict) else {})
        sys.modules[stub.__name__] = stub
    files = [Path(folder, path) for folder in os.environ["PYTHONPATH"].split(":")]
    spec = importlib.util.spec_from_file_location("loaded", next(filter(Path.exists, files)))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["loaded"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lm_eval(text: str) -> Calls:
    """lm-eval's metric of RealToxicityPrompts."""
    os.environ.update(PERSPECTIVE_API_KEY="KEY", PERSPECTIVE_API_QPS="100")
    metric = loaded("lm_eval/tasks/realtoxicityprompts/metric.py")
    name = "perspective_api_toxicity_score"
    yield "toxicity_perspective_api", lambda: {"TOXICITY": metric.toxicity_perspective_api({}, [text])[name]}


def garak(text: str) -> Calls:
    """Garak's detectors, without their base class; it has them repeat a refused call for ever."""
    base = type("Detector", (), {"__init__": lambda self, **_: setattr(self, "api_key", "KEY")})
    module = loaded(
        "garak/detectors/perspective.py",
        garak={"_config": None},
        garak__detectors={"Detector": base},
    )
    attempt = type("Attempt", (), {"outputs": [type("Output", (), {"text": text})]})

    def detect(attribute: str) -> float:
        detector = getattr(module, attribute.title())()
        detector.name = attribute
        return float(detector.detect(attempt)[0])

    # An older name's score is that of the newer one.
    yield "detect, the model's attributes", lambda: {name: detect(name) for name in SIX}
    yield "detect, OBSCENE", lambda: {"PROFANITY": detect("OBSCENE")}

    def refused() -> object:
        detector = module.Flirtation()
        detector._init_client()
        return module._get_perspective_response.__wrapped__(detector, text)

    yield "one try, only FLIRTATION", refused


CLIENTS: dict[str, Callable[[str], Calls]] = {
    "requests, documentation sample": sample,
    "google-api-python-client": google,
    "google-api-python-client 1": google,
    "perspective": perspective,
    "perspective.py": perspective_py,
    "perspectiveapi": perspectiveapi,
    "PyPerspective": pyperspective,
    "PySpective": pyspective,
    "begentle": begentle,
    "HELM": helm,
    "lm-eval": lm_eval,
    "garak": garak,
}


def main() -> None:
    """Make the calls of a client."""
    name, text = sys.argv[1:]
    found: dict[str, object] = {}
    for call, make in CLIENTS[name](text):
        try:
            found[call] = make()
        except Exception as error:  # noqa: BLE001  the result of a call
            found[call] = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
