"""The pipelines, one folder each: `nodes.py` holds plain functions, `pipeline.py` only wires them."""
