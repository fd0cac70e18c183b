"""The generated sample: four small files with the names and columns of the Jigsaw files.

Invariant: the same code and seed give the same bytes on every machine, so that a test can compare
`data/sample` with its generator.
"""

from toxic_training.data.sample.generator import Split, generate
from toxic_training.data.sample.tables import FILES, write_sample

__all__ = ["FILES", "Split", "generate", "write_sample"]
