"""What training and serving must agree on.

Imports no service, and none of kedro, mlflow, fastapi or tensorflow, so that every service can stand on it.
"""

__version__ = "0.2.0"
