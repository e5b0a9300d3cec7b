"""Checks the answers before anything is written; says all that is wrong at once.

A pure function of the answers: standard library only, no network, no clock, no prompts.
"""

import collections
import json
import keyword
import os
import re
import sys

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
# What was given on cookiecutter's command line or in its files, before cookiecutter rendered it;
# cruft has no such thing.
GIVEN = json.loads(r"""{{ _cookiecutter | default({}) | tojson }}""")

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
EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
# Azure refuses names with these words: learn.microsoft.com, "reserved resource name errors".
RESERVED = "microsoft|windows|^login"
# Characters that YAML, TOML or a terminal cannot hold, or that turn the order of a line around.
UNSEEN = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff"
JINJA = r"\{[#%{]"

Problem = collections.namedtuple("Problem", "answer value rule instead")


def problems(answers, given):
    """All problems of the answers, each with a value that is valid.

    `given` holds the answers as they were before cookiecutter rendered them.
    """
    found = []
    for name, rule, repair in RULES:
        text = answers[name]
        if not isinstance(text, str):
            found.append(Problem(name, text, "write a text", repair("")))
        elif broken := rule_of_rendering(name, text, given):
            value = text if re.search(JINJA, text) else given[name]
            found.append(Problem(name, value, broken, repair(text)))
        elif broken := rule(text):
            # A sheet of an older release has no prefix yet, and the default cannot see its slug.
            derived = answers["project_slug"] if name == "name_prefix" and not text else text
            found.append(Problem(name, text, broken, repair(derived)))
    package = answers["project_slug"].replace("-", "_")
    if answers.get("__package", package) != package:
        rule = "a sheet whose project_slug was changed needs its `__package` changed, too"
        found.append(Problem("__package", answers["__package"], rule, package))
    if answers["azure_subscription_id"] and not answers["azure_location"]:
        rule = "a subscription needs a region (`az account list-locations --query [].name`)"
        found.append(Problem("azure_location", "", rule, "westeurope"))
    return found


def rule_of_rendering(name, text, given):
    """Why text with Jinja's brackets is not valid: every update renders the answers again."""
    before = given.get(name)
    if re.search(JINJA, text) or (name in PLAIN and re.search(JINJA, str(before or ""))):
        marks = ", ".join("{" + mark for mark in "#%{")
        return f"write it without {marks}: cookiecutter and cruft take them for template code"
    return ""


def rule_of_line(longest):
    """The rule of a text in one line."""

    def rule(text):
        if not text.strip() or len(text) > longest or re.search(f"[{UNSEEN}]", text):
            return f"write one line of 1 to {longest} characters"
        return ""

    return rule


def rule_of_description(text):
    """The rule of a text in one or more lines."""
    if len(text) > 1000 or re.search(f"[{UNSEEN}]", text.replace("\n", "")):
        return (
            "write at most 1000 characters, line breaks among them, but no other control characters"
        )
    return ""


def rule_of_slug(text):
    """The rule of the short name: a folder, a Python package, a part of Azure's names."""
    if not 3 <= len(text) <= 18 or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", text):
        return "write 3 to 18 characters: a-z, 0-9 and single dashes, a letter first"
    package = text.replace("-", "_")
    if (
        keyword.iskeyword(package)
        or package in sys.stdlib_module_names
        or package in TAKEN_NAMES.split()
    ):
        return f"a Python package `{package}` would hide another of that name"
    return ""


def rule_of_prefix(text):
    """The rule of what Azure's names begin with: with all that follows they obey Azure's rules."""
    if not re.fullmatch(r"[a-z][a-z0-9]{1,10}", text):
        return "write 2 to 11 characters: a-z and 0-9, a letter first"
    if re.search(RESERVED, text):
        return (
            "Azure refuses names with `microsoft` or `windows`, and names that begin with `login`"
        )
    return ""


def rule_of_email(text):
    """The rule of an address."""
    if len(text) > 80 or not re.fullmatch(EMAIL, text):
        return "write an address such as team@example.com, of at most 80 characters"
    return ""


def rule_of_id(command):
    """The rule of an id that may be left out; `command` shows it."""

    def rule(text):
        if text and not re.fullmatch(UUID, text):
            return f"write the id that `{command}` shows, or nothing"
        return ""

    return rule


def rule_of_location(text):
    """The rule of a region's name."""
    if text and not re.fullmatch(r"[a-z]+[a-z0-9]*", text):
        return "write the name of a region (`az account list-locations --query [].name`)"
    return ""


def line_of(longest, otherwise):
    """Makes one line of a text."""

    def repair(text):
        without = re.sub(r"\s+", " ", re.sub(f"[{UNSEEN}]", " ", without_jinja(text)))
        return without.strip()[:longest].strip() or otherwise

    return repair


def without_jinja(text):
    """The text with its doubled brackets apart."""
    return re.sub(r"\{(?=[#%{])", "{ ", text)


def description_of(text):
    """A text in one or more lines that is valid."""
    lines = (line_of(1000, "")(line) for line in text.splitlines())
    return "\n".join(lines).strip()[:1000].strip() or "A machine learning model."


def slug_of(text):
    """A short name that is valid."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    good = "-".join(words).lstrip("0123456789-")[:18].strip("-")
    return good if good and not rule_of_slug(good) else f"{good[:12].strip('-')}-model".lstrip("-")


def prefix_of(text):
    """A prefix that is valid."""
    good = re.sub(r"[^a-z0-9]", "", text.lower()).lstrip("0123456789")[:11]
    return good if not rule_of_prefix(good) else "mlmodel"


def location_of(text):
    """A region's name, as Azure writes it."""
    good = re.sub(r"[^a-z0-9]", "", text.lower())
    return good if not rule_of_location(good) else "westeurope"


# Each text answer, its rule, and what makes a value that is valid of one that is not.
RULES = [
    ("project_name", rule_of_line(100), line_of(100, "Churn Model")),
    ("project_slug", rule_of_slug, slug_of),
    ("description", rule_of_description, description_of),
    ("team", rule_of_line(100), line_of(100, "Data Science")),
    ("contact_email", rule_of_email, lambda text: "team@example.com"),
    ("azure_subscription_id", rule_of_id("az account show --query id"), lambda text: ""),
    ("azure_tenant_id", rule_of_id("az account show --query tenantId"), lambda text: ""),
    ("azure_location", rule_of_location, location_of),
    ("name_prefix", rule_of_prefix, prefix_of),
]
# The texts whose defaults hold no Jinja: what holds some was given.
PLAIN = ("project_name", "description", "team")


def again(answers, found):
    """The commands that go on with what was answered, and with values that are valid."""
    corrected = {problem.answer: problem.instead for problem in found}
    public = {name: text for name, text in answers.items() if not name.startswith("_")} | corrected
    words = ["--no-input", "--output-dir", os.path.dirname(os.getcwd())]
    if "_commit" not in answers:
        words += ["--checkout", answers["_checkout"]] if answers["_checkout"] else []
        words += [answers["_template"], *(f"{name}={text}" for name, text in public.items())]
        return "  " + in_a_shell(["cookiecutter", *words])
    words += ["--checkout", answers["_commit"], "--extra-context", json.dumps(public)]
    create = in_a_shell(["cruft", "create", answers["_template"], *words])
    update = in_a_shell(
        ["cruft", "update", "--skip-apply-ask", "--variables-to-update", json.dumps(corrected)]
    )
    return f"  {create}\nor, in a project that is there already:\n  {update}"


def in_a_shell(words):
    """The command line that hands these words to a program unchanged."""
    import shlex
    import subprocess

    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def main():
    """Exit with 1 and a message if an answer is not valid."""
    found = problems(ANSWERS, GIVEN)
    if not found:
        return
    count = "1 answer is" if len(found) == 1 else f"{len(found)} answers are"
    lines = [f"{count} not valid; nothing was changed:"]
    for problem in found:
        value = repr(problem.value)
        lines.append(f"  {problem.answer} = {value if len(value) <= 80 else value[:77] + '...'}")
        lines.append(f"    {problem.rule}; for example: {problem.instead!r}")
    lines += ["Your other answers are not lost. Go on with:", again(ANSWERS, found)]
    lines.append("(What follows, if anything does, is only the report that this check said no.)")
    sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
