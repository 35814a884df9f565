"""Configuration of a run: the schema of every key, and the presets."""
