"""From callers' rows to batches that fill a token budget."""
