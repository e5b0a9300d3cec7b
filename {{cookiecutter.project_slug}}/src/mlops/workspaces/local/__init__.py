"""The local workspace: MLflow on SQLite, steps as processes, Azure's own inference server."""
