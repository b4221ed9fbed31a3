"""The protocol of a study: what it may ask. Templates are typed as SQL; one with parameters as JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from flask import request

from queries.statistics import registry
from server.pages.admin.studies import changed_terms
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again, number
from server.pages.frame.language import typed
from server.pages.frame.rendering import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LISTS = ("tables", "columns", "statistics")
NUMBERS = ("max_epsilon", "min_margin", "hide_below")
TEMPLATES_MAX = 100
TEMPLATE = re.compile(r"t-(\d{1,4})-")


@page("/admin/studies/<study>/protocol", "admin", methods=("GET", "POST"))
def edit_protocol(study: str) -> Any:
    """Show and change what a study may ask."""
    shown = calling.get("studies", study)
    tables = calling.get("datasets", str(shown["dataset"]))["tables"]
    titles = {name: about.get("title") for table in tables.values() for name, about in table["columns"].items()}
    fields, refusal = to_fields(shown["protocol"], calling.every("studies", study, "templates")), None
    if request.method == "POST":
        fields = _edited(request.form.to_dict())
        if fields.get("do") == "save":
            try:
                changed = calling.call("PATCH", "studies", study, body={"protocol": to_protocol(fields)}).json
            except Refused as error:
                refusal = error
            else:
                return changed_terms(shown, changed)
    return again(
        "admin/protocol.html",
        refusal,
        study=shown,
        tables=tables,
        columns=sorted(titles),
        titles=titles,
        statistics=registry.WORDS,
        fields=fields,
        templates=template_numbers(fields),
    )


def to_fields(protocol: Mapping[str, Any], templates: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the fields that show a protocol and its templates."""
    fields: dict[str, str] = {}
    for part in LISTS:
        if part in protocol:
            fields[f"only-{part}"] = "yes"
            fields |= {f"{part}:{name}": "yes" for name in protocol[part]}
    fields |= {name: typed(protocol[name]) for name in NUMBERS if name in protocol}
    if protocol.get("strict"):
        fields["strict"] = "yes"
    if protocol.get("professionals"):
        fields["professionals"] = "\n".join(f"{name}: {why}" for name, why in protocol["professionals"].items())
    fields["noise"] = protocol.get("noise", "")
    if protocol.get("code_lists"):
        fields["code_lists"] = "\n".join(f"{name}: {_typed(codes)}" for name, codes in protocol["code_lists"].items())
    for number_, one in enumerate(templates):
        text = one["sql"] or json.dumps(one["query"], ensure_ascii=False, indent=1)
        fields |= {f"t-{number_}-name": one["name"], f"t-{number_}-text": text}
        if "max_epsilon" in one:
            fields[f"t-{number_}-max"] = typed(one["max_epsilon"])
    return fields


def to_protocol(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the protocol that was typed. What makes no sense is left for the API to refuse."""
    found: dict[str, Any] = {}
    for part in LISTS:
        if f"only-{part}" in fields:
            found[part] = [name.partition(":")[2] for name in fields if name.startswith(f"{part}:")]
    for name in NUMBERS:
        if fields.get(name, "").strip():
            found[name] = number(fields[name])
    if "strict" in fields:
        found["strict"] = True
    reasons = [line.partition(":") for line in fields.get("professionals", "").splitlines() if line.strip()]
    if reasons:
        found["professionals"] = {name.strip(): why.strip() for name, _, why in reasons}
    if fields.get("noise"):
        found["noise"] = fields["noise"]
    lists = [line.partition(":") for line in fields.get("code_lists", "").splitlines() if line.strip()]
    if lists:
        found["code_lists"] = {name.strip(): _codes(codes.strip()) for name, _, codes in lists}
    templates = [_template(fields, number_) for number_ in template_numbers(fields)]
    return found | ({"templates": templates} if templates else {})


def _typed(codes: Sequence[str]) -> str:
    """Return a code list as it is typed: E10; E11. One with codes that would be read otherwise is JSON."""
    text = "; ".join(codes)
    return text if _codes(text) == list(codes) else json.dumps(codes, ensure_ascii=False)


def _codes(text: str) -> Any:
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [code.strip() for code in text.split(";") if code.strip()]


def _template(fields: Mapping[str, str], number_: int) -> dict[str, Any]:
    text = fields.get(f"t-{number_}-text", "").strip()
    most = fields.get(f"t-{number_}-max", "").strip()
    found = {"name": fields.get(f"t-{number_}-name", "").strip(), **_question(text)}
    return found | ({"max_epsilon": number(most)} if most else {})


def _question(text: str) -> dict[str, Any]:
    """Return a template's query: JSON begins with a brace, and everything else is SQL."""
    if not text.startswith("{"):
        return {"sql": text}
    try:
        return {"query": json.loads(text)}
    except ValueError:
        return {"query": text}


def template_numbers(fields: Mapping[str, str]) -> Sequence[int]:
    """Return the numbers of the templates, in their order."""
    found = {int(match[1]) for name in fields if (match := TEMPLATE.match(name))}
    return sorted(found)[:TEMPLATES_MAX]


def _edited(fields: dict[str, str]) -> dict[str, str]:
    """Return the fields after the button that was pressed: a template added or removed."""
    match fields.get("do", "").split("-"):
        case ["add"]:
            last = max(template_numbers(fields), default=-1)
            return {**fields, f"t-{last + 1}-name": "", f"t-{last + 1}-text": ""}
        case ["drop", number_]:
            return {name: value for name, value in fields.items() if not name.startswith(f"t-{number_}-")}
    return fields
