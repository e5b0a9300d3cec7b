"""Writes the sample table `sample.parquet`: the diabetes data of scikit-learn.

Real measurements of 442 patients by B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least
Angle Regression, Annals of Statistics, 2004. Replace the table and `contract.yml` with your own.
"""

from pathlib import Path

from sklearn.datasets import load_diabetes

NAMES = {
    "s1": "total_cholesterol",
    "s2": "low_density_lipoproteins",
    "s3": "high_density_lipoproteins",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "blood_sugar",
    "bp": "blood_pressure",
    "bmi": "body_mass_index",
}

if __name__ == "__main__":
    data = load_diabetes(as_frame=True, scaled=False)
    table = data.data.rename(columns=NAMES)
    table.insert(0, "patient_id", range(1, len(table) + 1))
    table["age"] = table["age"].astype("int64")
    table["sex"] = table["sex"].map({1.0: "1", 2.0: "2"})
    table["progression"] = data.target
    table.to_parquet(Path(__file__).with_name("sample.parquet"), index=False)
