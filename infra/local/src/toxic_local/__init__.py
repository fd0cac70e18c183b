"""The stack as plain processes on one machine: what `make demo` and the end-to-end tests start."""
