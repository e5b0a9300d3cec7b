"""Monitoring: what is collected where a model serves, compared with what it was trained on."""
