"""The promotion gate: which versions may become champion, and which alias changes are allowed."""
