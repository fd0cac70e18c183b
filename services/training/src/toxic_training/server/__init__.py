"""Kedro's HTTP server with one run at a time, each in a child process."""
