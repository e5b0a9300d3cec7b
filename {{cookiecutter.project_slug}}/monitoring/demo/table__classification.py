"""Writes `table.parquet`: every country, every third year from 1965 to 2013, and its family size.

From the package bokeh-sampledata (`pip install bokeh-sampledata`), in which the data lies; nothing
is downloaded. Source: Gapminder, www.gapminder.org/data, and the providers that it names; licence:
Creative Commons Attribution 2.0 (CC BY 2.0). What is changed: the choice of years, the growth of
the population in a year, and families called small below 2.5 children per woman.

Rates move slowly, and many are interpolated between two censuses: years in between say little more.
"""

from pathlib import Path

import pandas as pd
from bokeh_sampledata import gapminder

SMALL = 2.5


def make_table() -> pd.DataFrame:
    """One row per country and year, in the order in which they became known."""
    known = gapminder.data.sort_values(["country", "year"])
    before = known.groupby("country")["population"].shift()
    known["population_growth"] = (100 * (known["population"] / before - 1)).round(3)
    known = known.dropna(subset=["fertility", "life_expectancy", "population_growth"])
    known = known[known["year"] % 3 == 0].sort_values(["year", "country"], ignore_index=True)
    years = known["year"].astype(str)
    return pd.DataFrame(
        {
            "country_year": known["country"] + " " + years,
            "year_end": pd.to_datetime(years + "-12-31"),
            "life_expectancy": known["life_expectancy"],
            "population": known["population"].astype("int64"),
            "population_growth": known["population_growth"],
            "region": known["region"],
            "family_size": (known["fertility"] < SMALL).map({True: "small", False: "large"}),
        }
    )


if __name__ == "__main__":
    make_table().to_parquet(Path(__file__).with_name("table.parquet"), index=False)
