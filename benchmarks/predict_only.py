"""The least that a scoring script can do: JSON to a table, and the model's `predict`.

What `scoring.py` compares ours with: no contract, no messages, no probabilities.
"""

import json
import os

import mlflow.sklearn
import pandas as pd


def init():
    """Load the model."""
    global model
    model = mlflow.sklearn.load_model(os.environ["AZUREML_MODEL_DIR"])


def run(data):
    """Answer one request."""
    table = pd.DataFrame(json.loads(data)["input_data"])
    return {"predictions": model.predict(table).tolist()}
