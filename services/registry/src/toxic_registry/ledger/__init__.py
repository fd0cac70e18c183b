"""The append-only record of alias changes."""
