"""The stack as plain processes on one machine: what `make demo` and the end-to-end tests start."""

__version__ = "0.2.0"
