"""What the serving core meets outside: registries, folders, the disk cache, TensorFlow."""
