"""gRPC: a server that passes calls to the same application layers as HTTP requests."""
