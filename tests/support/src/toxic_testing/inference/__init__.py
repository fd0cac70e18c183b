"""Small real models, fakes of the core's protocols, and the service as a process: for tests and load runs."""
