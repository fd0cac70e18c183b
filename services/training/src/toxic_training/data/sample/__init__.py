"""The generated sample: four small files with the names and columns of the Jigsaw ones.

Invariant: the same code and seed give the same bytes on every machine, so a test can hold `data/sample`
against its generator.
"""

from toxic_training.data.sample.generator import Split, generate
from toxic_training.data.sample.tables import FILES, write_sample

__all__ = ["FILES", "Split", "generate", "write_sample"]
