"""Rules of a rule router as a table, and a live test of them on a text. Knows nothing of other nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.graph.catalogue.selectors import RULE_KINDS, rule_problem
from fgdesign.graph.spec import Node
from fgdesign.model.rules import decide

Do = Callable[[dict[str, Any]], None]
KINDS = (
    "length at most",
    "length at least",
    "keyword",
    "pattern",
    "script",
    "column",
    "confidence below",
    "confidence at least",
)
EXAMPLES = (
    "length at most: 6 · keyword: refund, money back · pattern: (?i)invoice \\d+ · script: latin · "
    "column: channel = chat"
)


def rule_to_row(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as a table row: when, value (text) and branch."""
    kind = rule.get("when", "")
    if kind in ("length", "confidence"):
        field = next((name for name in RULE_KINDS[kind] if name in rule), RULE_KINDS[kind][0])
        return {
            "when": f"{kind} {field.replace('_', ' ')}",
            "value": f"{rule.get(field, 0):g}",
            "to": rule.get("to"),
        }
    match kind:
        case "keyword":
            value = ", ".join(rule.get("words", ()))
        case "column":
            value = f"{rule.get('column', '')} = {rule.get('equals', '')}"
        case _:
            value = str(rule.get("pattern", rule.get("script", "")))
    return {"when": kind, "value": value, "to": rule.get("to")}


def row_to_rule(row: Mapping[str, Any]) -> dict[str, Any]:
    """A table row as a rule. What does not fit is left for `rule_problem` to name."""
    when, value = str(row.get("when") or ""), str(row.get("value") or "").strip()
    to = row.get("to")
    rule: dict[str, Any] = {"to": int(to) if isinstance(to, int | float) and to == to else 1}
    kind, _, limit = when.partition(" ")
    rule["when"] = kind
    if limit:
        rule[limit.replace(" ", "_")] = _number(value)
    elif kind == "keyword":
        rule["words"] = [word.strip() for word in value.split(",") if word.strip()]
    elif kind == "column":
        name, _, equals = value.partition("=")
        rule |= {"column": name.strip(), "equals": equals.strip()}
    else:
        rule[kind] = value
    return rule


def _number(value: str) -> float | int | str:
    try:
        number = float(value)
    except ValueError:
        return value
    return int(number) if number == int(number) else number


def rules_form(node: Node, values: Mapping[str, Any], do: Do) -> None:
    """The table, what is wrong in it, and the live test."""
    rules = values["rules"] if isinstance(values["rules"], list) else []
    branches = int(values["branches"])
    st.markdown("Rules, the first that matches wins", help=EXAMPLES)
    shown = [rule_to_row(rule) for rule in rules if isinstance(rule, dict)]
    table = pd.DataFrame(shown, columns=["when", "value", "to"])
    table = table.astype({"when": "object", "value": "object", "to": "Int64"})
    key = f"rules|{node.id}|{hash(str(rules))}"
    edited = st.data_editor(
        table,
        key=key,
        num_rows="dynamic",
        hide_index=True,
        height="content",
        column_config={
            "when": st.column_config.SelectboxColumn("When", options=list(KINDS), required=True),
            "value": st.column_config.TextColumn("Value", help=EXAMPLES),
            "to": st.column_config.NumberColumn("Branch", min_value=1, max_value=branches, step=1, default=1),
        },
    )
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in edited.to_dict("records")]
    new = [row_to_rule(row) for row in rows if row.get("when")]
    problems = [
        f"Rule {i}: {problem}" for i, rule in enumerate(new, 1) if (problem := rule_problem(rule, branches))
    ]
    if problems:
        st.text("\n".join(problems))
    unchanged = new == rules
    st.button(
        "Apply rules",
        key=f"{key}|apply",
        disabled=unchanged or bool(problems),
        on_click=do,
        width="stretch",
        args=({"op": "params", "id": node.id, "params": {"rules": new}},),
    )
    _live_test(node, [] if problems else new, int(values["default"]))


def _live_test(node: Node, rules: Sequence[Mapping[str, Any]], default: int) -> None:
    text = st.text_input("Try a text", key=f"rules|{node.id}|try", placeholder="a text of your own")
    if text:
        decision = decide(rules, default, text, {})
        st.text(f"Branch {decision.branch}: {decision.reason}")
