"""Checks the answers before anything is written; says all that is wrong at once.

A pure function of the answers: standard library only, no network, no clock, no prompts.
"""

import json
import keyword
import re
import sys
from typing import NamedTuple

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

# Names that a package of the project would hide from its own imports, all of them packages in
# constraints.txt or what these are imported as; and words that YAML takes for something else.
TAKEN_NAMES = """
aiohappyeyeballs aiohttp aiosignal alembic annotated_doc annotated_types anyio asgiref
ast_serialize async_timeout attr attrs azure azure_ai_ml azure_common azure_core azure_identity
azure_mgmt_core azure_storage_blob azureml azureml_mlflow blinker cachetools certifi cffi cfgv
charset_normalizer click cloudpickle colorama contourpy cryptography cycler data databricks_sdk
dateutil distlib docker exceptiongroup false fastapi filelock flask flask_cors fonttools
frozenlist git gitdb gitpython google google_api_core google_auth graphene graphql_core
graphql_relay greenlet gunicorn h11 huey identify idna importlib_metadata inference_schema
iniconfig isodate itsdangerous jinja2 joblib jsonpickle jsonschema jwt kiwisolver librt mako
markdown_it_py markupsafe marshmallow matplotlib mdurl mlflow mlflow_skinny mlflow_tracing mlops
msal msal_extensions msrest multidict mypy mypy_extensions n no nodeenv null numpy oauthlib off on
opencensus opencensus_context opentelemetry_api opentelemetry_sdk packaging pandas pandera
pathspec pillow platformdirs pluggy pre_commit prettytable propcache proto_plus protobuf psutil
pyarrow pyasn1 pyasn1_modules pycparser pydantic pydantic_core pydantic_settings pydash pygments
pyjwt pyparsing pytest python_dateutil python_discovery python_dotenv pytz pywin32 pyyaml
referencing requests requests_oauthlib rich rpds_py ruff scikit_learn scipy shellingham six
sklearn skops smmap sqlalchemy sqlparse src starlette strictyaml tests threadpoolctl tomli tqdm
true typeguard typer types_pyyaml typing_extensions typing_inspect typing_inspection tzdata
urllib3 uvicorn virtualenv waitress wcwidth werkzeug wrapt y yaml yamllint yarl yes zipp
"""
UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class Problem(NamedTuple):
    """One answer that will not do, and one that would."""

    answer: str
    value: str
    rule: str
    instead: str


def problems(answers):
    """All problems of the answers."""
    found = []
    for name in ("project_name", "team"):
        text = answers[name]
        if not text.strip() or len(text) > 100 or not text.isprintable():
            found.append(
                Problem(name, text, "write one line of 1 to 100 characters", _one_line(text))
            )
    if len(answers["description"]) > 1000:
        short = answers["description"][:60] + " ..."
        found.append(
            Problem("description", short, "write at most 1000 characters", "A short sentence.")
        )
    slug, rule = answers["project_slug"], _slug_rule(answers["project_slug"])
    if rule:
        found.append(Problem("project_slug", slug, rule, _good_slug(slug)))
    subscription, location = answers["azure_subscription_id"], answers["azure_location"]
    if subscription and not re.fullmatch(UUID, subscription):
        rule = "write the id of a subscription (`az account show --query id`), or nothing"
        found.append(Problem("azure_subscription_id", subscription, rule, ""))
    if (subscription or location) and not re.fullmatch(r"[a-z]+[a-z0-9]*", location):
        rule = "write the name of a region (`az account list-locations --query [].name`)"
        instead = re.sub(r"[^a-z0-9]", "", location.lower()) or "westeurope"
        found.append(Problem("azure_location", location, rule, instead))
    return found


def _slug_rule(slug):
    if not 3 <= len(slug) <= 18 or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        return "write 3 to 18 characters: a-z, 0-9 and single dashes, a letter first"
    package = slug.replace("-", "_")
    if (
        keyword.iskeyword(package)
        or package in sys.stdlib_module_names
        or package in TAKEN_NAMES.split()
    ):
        return f"a Python package `{package}` would hide another of that name"
    return ""


def _good_slug(slug):
    words = re.findall(r"[a-z0-9]+", slug.lower())
    good = "-".join(words).lstrip("0123456789-")[:18].strip("-")
    return good if good and not _slug_rule(good) else f"{good[:12]}-model".lstrip("-")


def _one_line(text):
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:100] or "Churn Model"


def main():
    """Exit with 1 and a message if an answer will not do."""
    found = problems(ANSWERS)
    if not found:
        return
    lines = [f"{len(found)} answer(s) will not do; nothing was generated:"]
    for problem in found:
        lines.append(f"  {problem.answer} = {problem.value!r}")
        lines.append(f"    {problem.rule}; for example: {problem.instead!r}")
    # ASCII, whatever the terminal's encoding is: a message must not fail.
    sys.exit("\n".join(lines).encode("ascii", "backslashreplace").decode("ascii"))


if __name__ == "__main__":
    main()
