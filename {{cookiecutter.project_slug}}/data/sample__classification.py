"""Writes the sample table `sample.parquet`: the breast cancer data of scikit-learn.

Real measurements of 569 cell samples by W. H. Wolberg, W. N. Street and O. L. Mangasarian,
University of Wisconsin, 1995. Replace the table and `contract.yml` with your own.
"""

from pathlib import Path

from sklearn.datasets import load_breast_cancer

if __name__ == "__main__":
    data = load_breast_cancer(as_frame=True)
    table = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    table.insert(0, "sample_id", range(1, len(table) + 1))
    table["diagnosis"] = data.target_names[data.target]
    table.to_parquet(Path(__file__).with_name("sample.parquet"), index=False)
