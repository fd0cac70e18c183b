"""How bodies are written: content codings, weights of what clients accept, relaxed JSON."""
