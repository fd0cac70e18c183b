"""Prints the catalogue of metrics as Markdown."""

import sys

from toxic_inference.metrics.catalogue.document import describe

sys.stdout.write(describe())
