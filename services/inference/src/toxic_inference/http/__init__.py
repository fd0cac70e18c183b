"""What every door shares: reading requests, errors, admission control, keys, the application."""
