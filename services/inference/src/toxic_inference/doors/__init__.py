"""One package per door: its routes, messages and errors."""
