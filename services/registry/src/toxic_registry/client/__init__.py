"""The command line, and a running registry as it sees it."""
