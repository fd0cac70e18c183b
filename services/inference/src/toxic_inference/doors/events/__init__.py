"""The registry's webhook messages."""
