"""The pipelines, one folder each: `nodes.py` contains plain functions, `pipeline.py` connects them."""
