"""Everything that knows Kedro: pipelines, catalog datasets, hooks, commands."""
