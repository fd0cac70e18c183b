"""The servable core: sources, loaders, harnesses, policy, manager, batch scheduler. Knows nothing of HTTP."""
