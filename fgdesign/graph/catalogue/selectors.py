"""Nodes that choose: the learned router, the rule router and the early exit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fgdesign.graph.catalogue.functions import LEARNED
from fgdesign.graph.spec import shown
from fgdesign.graph.types import ANY, HIDDEN, LOGITS, TOKENS, Cost, NodeType, Param, Port, ShapeError, Site, Value

RULE_KINDS: dict[str, tuple[str, ...]] = {
    "length": ("at_most", "at_least"),
    "keyword": ("words",),
    "pattern": ("pattern",),
    "script": ("script",),
    "column": ("column", "equals"),
    "confidence": ("below", "at_least"),
}
SCRIPTS = ("latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "han", "kana", "hangul", "thai", "other")


def rule_problem(rule: Any, branches: int) -> str | None:
    """Why a rule is not allowed, or None. A rule is {"when": kind, its fields, "to": branch}."""
    if not isinstance(rule, dict) or not isinstance(rule.get("when"), str) or rule["when"] not in RULE_KINDS:
        return f"the rule {shown(rule)} has no 'when' out of: {', '.join(RULE_KINDS)}"
    fields = RULE_KINDS[rule["when"]]
    for key in rule:
        if key not in ("when", "to", *fields):
            return f"a '{rule['when']}' rule has no field {shown(key)}; it has: {', '.join(fields)}, to"
    to = rule.get("to")
    if isinstance(to, bool) or not isinstance(to, int) or not 1 <= to <= branches:
        return f"'to' is {shown(to)}; it is a branch from 1 to {branches}"
    return _field_problem(rule)


def _field_problem(rule: dict[str, Any]) -> str | None:
    match rule["when"]:
        case "length" | "confidence":
            return _limit_problem(rule, *(("words", 1e6) if rule["when"] == "length" else ("confidence", 1)))
        case "keyword":
            words = rule.get("words")
            if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.strip() for w in words):
                return "a 'keyword' rule has a list of words"
        case "pattern":
            return pattern_problem(rule.get("pattern"))
        case "script":
            if rule.get("script") not in SCRIPTS:
                return f"script {shown(rule.get('script'))} is not one of: {', '.join(SCRIPTS)}"
        case "column":
            if not isinstance(rule.get("column"), str) or not isinstance(rule.get("equals"), str):
                return "a 'column' rule has two texts: column and equals"
    return None


def _limit_problem(rule: dict[str, Any], unit: str, most: float) -> str | None:
    keys = RULE_KINDS[rule["when"]]
    limits = [rule[key] for key in keys if key in rule]
    if len(limits) != 1 or isinstance(limits[0], bool) or not isinstance(limits[0], int | float):
        return f"a '{rule['when']}' rule has one number: {' or '.join(keys)}"
    if not 0 <= limits[0] <= most:
        return f"the limit {shown(limits[0])} of a '{rule['when']}' rule is outside 0 to {most:g} ({unit})"
    return None


def pattern_problem(pattern: Any) -> str | None:
    """Why a pattern is not allowed (RE2 syntax: linear time, no back-references), or None."""
    if not isinstance(pattern, str) or not 0 < len(pattern) <= 1000:
        return "a 'pattern' rule has a pattern of 1 to 1,000 characters"
    return _syntax_problem(pattern)


@lru_cache(maxsize=1024)
def _syntax_problem(pattern: str) -> str | None:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        return f"pattern {shown(pattern)} is not RE2 syntax: {text}"
    return None


def _branches(site: Site) -> dict[str, Value]:
    return {f"branch_{i + 1}": site.first() for i in range(site.params["branches"])}


def _router(site: Site) -> dict[str, Value]:
    if site.first().type in (TOKENS, LOGITS) and not site.inputs["by"]:
        raise ShapeError(f"it is fed {site.first()}, from which it cannot score branches",
                         "Connect a vector or sequence to its 'by' port.")
    if site.params["k"] > site.params["branches"]:
        raise ShapeError(f"k is {site.params['k']}, but there are {site.params['branches']} branches",
                         "Lower k, or add branches.")
    return _branches(site)


def _rule_router(site: Site) -> dict[str, Value]:
    for rule in site.params["rules"]:
        problem = rule_problem(rule, site.params["branches"])
        if problem:
            raise ShapeError(problem, "Correct the rule in the inspector.")
        if rule["when"] == "confidence" and not site.inputs["by"]:
            raise ShapeError("a confidence rule has nothing to read", "Connect logits to its 'by' port.")
    if not 1 <= site.params["default"] <= site.params["branches"]:
        raise ShapeError(f"the default branch is {site.params['default']} of {site.params['branches']}",
                         "Choose an existing branch.")
    return _branches(site)


def _router_cost(site: Site) -> Cost:
    by = (site.inputs["by"] or site.inputs["in"])[0]
    out, inner = site.params["branches"], max(16, by.width // 4)
    if site.params["scorer"] == "linear":
        size, parameters = by.width * out, (by.width + 1) * out
    else:
        size = by.width * inner + inner * out
        parameters = size + inner + out
    norm = 2 * by.width
    trained = 0 if site.tuning == "frozen" else parameters + norm
    return Cost(parameters + norm, trained, macs_per_text=size)


def _exit(site: Site) -> dict[str, Value]:
    return {"answer": site.first("logits"), "next": site.first()}


BRANCHES = Param("branches", "int", 2, "How many ways there are.", 2, 64)

ENTRIES = (
    NodeType(
        "router/1", "select", "Router", "Learns which branches each row calls (sparse gating, Shazeer et al. 2017).",
        (Port("in", ANY), Port("by", HIDDEN, optional=True)), _router, _router_cost, tunings=LEARNED,
        branches=True, role="router",
        params=(
            BRANCHES,
            Param("k", "int", 1, "Branches each row calls.", 1, 8),
            Param("method", "choice", "noisy_top_k", "noisy_top_k: the gate is the probability; straight_through: "
                  "one-hot forward, soft gradient (Jang et al. 2017); soft: all branches in training, the top k after.",
                  choices=("noisy_top_k", "straight_through", "soft")),
            Param("scorer", "choice", "linear", "What scores the branches.", choices=("linear", "mlp")),
            Param("temperature", "float", 1.0, "Higher is more even.", 0.05, 20),
            Param("noise", "float", -1.0, "Deviation of the training noise on the scores; -1 is 1 / branches.", -1, 10),
            Param("mutual_information", "float", 0.1, "Weight of the loss that wants sure and varied choices.", 0, 10),
            Param("balance", "float", 0.0, "Weight of the load-balancing loss (Fedus et al. 2022).", 0, 10),
            Param("z_loss", "float", 0.0, "Weight of the loss on large scores (Zoph et al. 2022).", 0, 10),
            Param("cost_penalty", "float", 0.0, "Weight of the expected cost of the called branches.", 0, 10),
            Param("teacher", "text", "", "A data column whose values the branches should follow; empty for none."),
        ),
    ),
    NodeType(
        "rule_router/1", "select", "Rule router", "Sends each row by rules you write: the first that matches wins.",
        (Port("in", ANY), Port("by", (LOGITS,), optional=True)), _rule_router, branches=True, role="router",
        params=(
            BRANCHES,
            Param("rules", "rules", [], "In order: length in words, keywords, a pattern, a script, a data column, or "
                  "the confidence of logits."),
            Param("default", "int", 2, "The branch of rows that no rule matches.", 1, 64),
        ),
    ),
    NodeType(
        "exit/1", "select", "Early exit", "Answers now when the logits are sure enough, else goes on.",
        (Port("in", ANY), Port("logits", (LOGITS,))), _exit, outputs=("answer", "next"), role="exit",
        params=(
            Param("measure", "choice", "confidence", "How sure: the largest probability, one minus the normalised "
                  "entropy, or the lead over the second class.", choices=("confidence", "entropy", "margin")),
            Param("threshold", "float", 0.9, "Rows at least this sure leave here.", 0, 1),
            Param("automatic", "bool", True, "Pick the threshold on the validation rows after every training."),
            Param("tolerance", "float", 0.003, "Automatic: accuracy that the exits may give up on validation rows, by "
                  "how likely the full graph finds its own answer right and theirs.", 0, 0.2),
            Param("loss_weight", "float", -1.0, "Weight of this exit's loss; -1 is its depth as a share.", -1, 10),
            Param("distil", "float", 0.5, "Share of the loss that imitates the last answer (Phuong and Lampert 2019).",
                  0, 1),
        ),
    ),
)
