"""Detoxify's way of calling, with its multilingual architecture: XLM-RoBERTa base, random weights.

Detoxify's `predict` (https://github.com/unitaryai/detoxify) tokenises what it is given, pads to the longest,
cuts at 512 tokens, and runs the model once. Weights don't change the time that this takes, and neither does
which piece an id stands for, so the bundle's tokenizer does.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification


def main() -> None:
    """Read texts as JSON from standard input and print comments a second and CPU seconds, as JSON."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(Path(os.environ["BENCH_BUNDLE"]) / "tokenizer/tokenizer.json"),
        pad_token="<pad>",  # noqa: S106  a token of text
        model_max_length=512,
    )
    sizes = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    }
    config = XLMRobertaConfig(
        vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1, num_labels=16, **sizes
    )
    model = XLMRobertaForSequenceClassification(config).eval()

    @torch.no_grad()
    def predict(texts: list[str]) -> list[list[float]]:
        inputs = tokenizer(texts, return_tensors="pt", truncation=True, padding=True)
        scores: list[list[float]] = torch.sigmoid(model(**inputs)[0]).tolist()
        return scores

    texts = json.load(sys.stdin)
    predict(texts[:1])
    found = {}
    for key, size in (("rate", 1), ("rate_of_32", 32)):
        started = time.perf_counter()
        for first in range(0, len(texts), size):
            predict(texts[first : first + size])
        found[key] = len(texts) / (time.perf_counter() - started)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
