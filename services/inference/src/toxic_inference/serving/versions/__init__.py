"""Which versions are served: sources are polled, versions loaded, routed and unloaded."""
