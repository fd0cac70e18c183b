"""Broken versions, set before the whole service in every way there is: none is served."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_core.contract import (
    CONTRACT_FILE,
    SAVED_MODEL_DIR,
    SIGNATURE,
    TOKENIZER_FILE,
    WARMUP_FILE,
    WarmupExample,
    read_contract,
    seal,
    write_warmup,
)
from toxic_core.labels import LABELS
from toxic_inference.app import create_app
from toxic_inference.settings import Settings
from toxic_testing.inference.bundles import BundleFactory, make_tokenizer

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

TEXT = "you are a stupid idiot"
MAX_BYTES = 10_000_000
GRAPH = f"{SAVED_MODEL_DIR}/saved_model.pb"
WEIGHTS = f"{SAVED_MODEL_DIR}/variables/variables.data-00000-of-00001"
INDEX = f"{SAVED_MODEL_DIR}/variables/variables.index"

Damage = Callable[[Path], object]


# Damage to files, after they were sealed


def missing(name: str) -> Damage:
    """Take a file away."""
    return lambda bundle: (bundle / name).unlink()


def truncated(name: str) -> Damage:
    """Cut a file in half, as a download that broke off does."""

    def damage(bundle: Path) -> None:
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[: len(content) // 2])

    return damage


def flipped(name: str) -> Damage:
    """Turn one bit over, as a bad disk does."""

    def damage(bundle: Path) -> None:
        content = bytearray((bundle / name).read_bytes())
        content[len(content) // 2] ^= 1
        (bundle / name).write_bytes(content)

    return damage


def added(name: str, content: bytes = b"more") -> Damage:
    """Put a file in that the contract doesn't list."""
    return lambda bundle: (bundle / name).write_bytes(content)


def linked(name: str) -> Damage:
    """Put a link to a file outside in a file's place."""

    def damage(bundle: Path) -> None:
        outside = bundle.parent.parent / "outside"
        (bundle / name).rename(outside)
        (bundle / name).symlink_to(outside)

    return damage


def piped(bundle: Path) -> None:
    """Put a pipe in: a reader would wait for ever."""
    os.mkfifo(bundle / "pipe")


def huge(bundle: Path) -> None:
    """Let a file grow to a terabyte that takes no room, as the inside of a bomb does."""
    with (bundle / WEIGHTS).open("r+b") as file:
        file.truncate(10**12)


def emptied(bundle: Path) -> None:
    """Leave nothing but the folder."""
    for file in sorted(bundle.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


# Contracts that say something else


def said(**changes: object) -> Damage:
    """Change the contract."""

    def damage(bundle: Path) -> None:
        contract = json.loads((bundle / CONTRACT_FILE).read_text())
        (bundle / CONTRACT_FILE).write_text(json.dumps(contract | changes))

    return damage


def lists(name: str) -> Damage:
    """Let the contract list a file outside of the bundle."""

    def damage(bundle: Path) -> None:
        files = json.loads((bundle / CONTRACT_FILE).read_text())["files"]
        said(files=files | {name: files[WARMUP_FILE]})(bundle)

    return damage


# Bundles that were sealed in good faith, with something wrong in them


def resealed(damage: Damage) -> Damage:
    """Damage, then seal as if all were well."""

    def both(bundle: Path) -> None:
        damage(bundle)
        seal(bundle, read_contract(bundle))

    return both


def written(name: str, content: bytes) -> Damage:
    """Replace what a file holds."""
    return resealed(lambda bundle: (bundle / name).write_bytes(content))


def recorded(*examples: tuple[str, float]) -> Damage:
    """Record other warm-up scores."""
    rows = [WarmupExample(text=text, scores=(score,) * len(LABELS)) for text, score in examples]
    return resealed(lambda bundle: write_warmup(bundle, rows))


def other_vocabulary(bundle: Path) -> None:
    """Use a tokenizer with other numbers for its words."""
    tokenizer = json.loads(make_tokenizer().to_str())
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = dict(zip(vocabulary, [0, 1, 2, 3, *range(13, 3, -1)], strict=True))
    (bundle / TOKENIZER_FILE).write_text(json.dumps(tokenizer))


def larger_vocabulary(bundle: Path) -> None:
    """Use a tokenizer with words that the model hasn't."""
    tokenizer = json.loads(make_tokenizer().to_str())
    tokenizer["model"]["vocab"] = {word: i * 1000 for word, i in tokenizer["model"]["vocab"].items()}
    (bundle / TOKENIZER_FILE).write_text(json.dumps(tokenizer))


def model(
    *,
    key: str = SIGNATURE,
    inputs: tuple[str, str] = ("input_ids", "attention_mask"),
    output: str = "scores",
    id_type: str = "int32",
    score_type: str = "float32",
    width: int = len(LABELS),
    factor: float = 1.0,
) -> Damage:
    """Export another model in the place of the one that was evaluated."""

    def damage(bundle: Path) -> None:
        import tensorflow as tf  # noqa: PLC0415  takes seconds

        def score(ids: Any, mask: Any) -> dict[str, Any]:
            weights = tf.cast(mask, tf.float32)
            mean = tf.reduce_sum(tf.cast(ids, tf.float32) * weights, axis=1) / tf.reduce_sum(weights, axis=1)
            scores = tf.sigmoid(tf.repeat(mean[:, tf.newaxis], width, axis=1) / 10) * factor
            return {output: tf.cast(scores, score_type)}

        module = tf.Module()
        specs = [
            tf.TensorSpec([None, None], kind, name=name)
            for name, kind in zip(inputs, (id_type, "int32"), strict=True)
        ]
        module.score = tf.function(score, input_signature=specs)
        tf.saved_model.save(module, str(bundle / SAVED_MODEL_DIR), signatures={key: module.score})

    return resealed(damage)


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    # what is wrong: how it comes, the reason that is counted, what the status says
    "the graph is missing": (missing(GRAPH), "contract", "saved_model.pb is missing"),
    "the weights are missing": (missing(WEIGHTS), "contract", "is missing"),
    "the tokenizer is missing": (missing(TOKENIZER_FILE), "contract", "tokenizer.json is missing"),
    "the warm-up is missing": (missing(WARMUP_FILE), "contract", "warmup.jsonl is missing"),
    "the contract is missing": (missing(CONTRACT_FILE), "contract", "not a complete model bundle"),
    "the graph is cut": (truncated(GRAPH), "digest", "changed or damaged"),
    "the weights are cut": (truncated(WEIGHTS), "digest", "changed or damaged"),
    "the tokenizer is cut": (truncated(TOKENIZER_FILE), "digest", "changed or damaged"),
    "the warm-up is cut": (truncated(WARMUP_FILE), "digest", "changed or damaged"),
    "the contract is cut": (truncated(CONTRACT_FILE), "contract", "isn't a valid contract"),
    "a bit of the graph is turned": (flipped(GRAPH), "digest", "changed or damaged"),
    "a bit of the weights is turned": (flipped(WEIGHTS), "digest", "changed or damaged"),
    "a bit of the weights' index is turned": (flipped(INDEX), "digest", "changed or damaged"),
    "a bit of the tokenizer is turned": (flipped(TOKENIZER_FILE), "digest", "changed or damaged"),
    "nothing is there": (emptied, "contract", "not a complete model bundle"),
    "a file is there that isn't listed": (added("notes.txt"), "contract", "doesn't list: notes.txt"),
    "a pickle is there": (added("model.pkl"), "contract", "can't have one"),
    "a link leads out": (linked(WARMUP_FILE), "contract", "neither a file nor a folder"),
    "a pipe is there": (piped, "contract", "neither a file nor a folder"),
    "a file is a terabyte long": (huge, "contract", "more than the limit of 10,000,000"),
    "a listed file leads out": (lists("../../outside"), "contract", "not the plain relative path"),
    "a listed file is absolute": (lists("/etc/hostname"), "contract", "not the plain relative path"),
    "a label is missing": (said(labels=LABELS[:5]), "contract", "one score per label"),
    "text was cleaned otherwise": (
        said(normalisation_version=99),
        "contract",
        "this code knows the versions 1 and 2",
    ),
    "the contract is of another schema": (said(schema_version=2), "contract", "schema_version"),
    "the contract says more than it may": (said(run="rm -rf"), "contract", "Extra inputs"),
    "thresholds are missing": (said(thresholds={}), "contract", "no thresholds"),
    "a threshold is no probability": (
        said(thresholds={label: {"*": 1.5} for label in LABELS}),
        "contract",
        "less than or equal to 1",
    ),
    "calibration turns scores around": (
        said(calibration={label: {"*": {"slope": -1.0}} for label in LABELS}),
        "contract",
        "greater than 0",
    ),
    "the model reads nothing": (said(max_tokens=0), "contract", "max_tokens"),
    "the graph is no graph": (written(GRAPH, b"not a protocol buffer"), "signature", "can't load"),
    "the weights are other weights": (written(WEIGHTS, bytes(336)), "signature", "can't load"),
    "the tokenizer is no tokenizer": (written(TOKENIZER_FILE, b"{}"), "contract", "as a tokenizer"),
    "the warm-up is no warm-up": (written(WARMUP_FILE, b'{"text": 1}\n'), "contract", "has an invalid line"),
    "the warm-up is empty": (written(WARMUP_FILE, b"\n"), "contract", "needs examples"),
    "the warm-up has five scores": (
        written(WARMUP_FILE, b'{"text": "day", "scores": [0, 0, 0, 0, 0]}\n'),
        "contract",
        "one score per label",
    ),
    "the recorded scores are others": (recorded((TEXT, 0.5)), "warmup", "differ by up to"),
    "the tokenizer has another vocabulary": (resealed(other_vocabulary), "warmup", "differ by up to"),
    "the tokenizer has more words than the model": (resealed(larger_vocabulary), "warmup", "vocabulary"),
    "the model has another signature": (model(key="classify"), "signature", "has signatures"),
    "the model's inputs have other names": (model(inputs=("ids", "mask")), "signature", "inputs"),
    "the model's output has another name": (model(output="logits"), "signature", "outputs"),
    "the model's ids are of another type": (model(id_type="int64"), "signature", "int64"),
    "the model's scores are of another type": (model(score_type="float64"), "signature", "float64"),
    "the model has five labels": (model(width=5), "signature", "[batch, 6]"),
    "the model's scores are no numbers": (model(factor=float("nan")), "warmup", "differ by up to nan"),
    "the model is another model": (model(), "warmup", "differ by up to"),
    "the model's scores are no probabilities": (model(factor=100.0), "warmup", "differ by up to"),
}


@pytest.fixture
async def client(tmp_path: Path, build_bundle: BundleFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running service, which serves version 1."""
    build_bundle(tmp_path / "models" / "1")
    settings = Settings(
        model_directory=tmp_path / "models",
        poll_interval_seconds=0.01,
        state_dir=tmp_path / "state",
        max_bundle_bytes=MAX_BYTES,
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        ready = await client.get("/health/ready")
        while not ready.is_success:
            await asyncio.sleep(0)  # the service runs on this event loop and needs its turn
            ready = await client.get("/health/ready")
        yield client


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_broken_version_is_never_served(
    client: httpx.AsyncClient, build_bundle: BundleFactory, tmp_path: Path, damage: str
) -> None:
    """It is refused with its reason on the status route and in the metrics, and the one before serves on."""
    apply, reason, says = DAMAGES[damage]
    before = (await client.post("/predict", json={"texts": [TEXT]})).json()
    apply(build_bundle(tmp_path / "incoming" / "2"))
    (tmp_path / "incoming" / "2").rename(tmp_path / "models" / "2")
    failures = await _failures(client)
    while not failures:
        await asyncio.sleep(0)
        failures = await _failures(client)
    assert failures == {reason}
    statuses = (await client.get("/v1/models/toxic-comments")).json()["model_version_status"]
    by_version = {status["version"]: status for status in statuses}
    assert says in by_version["2"]["status"]["error_message"]
    assert by_version["2"]["state"] == "END"
    assert by_version["1"]["state"] == "AVAILABLE"
    assert (await client.post("/predict", json={"texts": [TEXT]})).json() == before
    asked = await client.post("/v1/models/toxic-comments/versions/2:predict", json={"instances": [TEXT]})
    assert asked.status_code == httpx.codes.SERVICE_UNAVAILABLE


async def _failures(client: httpx.AsyncClient) -> set[str]:
    """Return the reasons that loads failed for so far."""
    metrics = (await client.get("/metrics")).text
    counted = re.findall(
        r'^toxic_inference_load_failures_total\{reason="(\w+)"\} (\S+)$', metrics, re.MULTILINE
    )
    return {reason for reason, count in counted if float(count)}
