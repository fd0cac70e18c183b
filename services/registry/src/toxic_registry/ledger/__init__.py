"""The append-only ledger of alias changes."""
