"""The body of an estimate, a rehearsal or a query: what is asked, and what it may spend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rowless_client.errors import Misused
from rowless_client.query.question import Question

# A question: built here, as JSON, or as SQL.
Asked = Question | Mapping[str, Any] | str


def body(
    question: Any = None,
    *,
    sql: str | None = None,
    bounds: Mapping[str, int] | None = None,
    epsilon: float | None = None,
    rho: float | None = None,
    delta: float | None = None,
    margin: Mapping[str, Any] | None = None,
    confidence: float | None = None,
    noise: str | None = None,
    post: Any = None,
    show: Any = None,
    require_drowned: float | None = None,
    require_question: str | None = None,
) -> dict[str, Any]:
    """Return the body. Raises Misused where it is clear here already that the server would refuse it."""
    asked = _asked(question, sql, bounds)
    privacy: dict[str, Any] = {"epsilon": epsilon, "rho": rho, "margin": None if margin is None else dict(margin)}
    if sum(value is not None for value in privacy.values()) != 1:
        raise Misused("say what the question may spend: epsilon=0.1, rho=0.01 or margin={NAME: 10}, one of them")
    privacy |= {"delta": delta, "confidence": confidence, "noise": noise}
    asked["privacy"] = {name: value for name, value in privacy.items() if value is not None}
    if post is not None:
        asked["post"] = [post] if isinstance(post, str) else list(post)
    if show is not None:
        asked["show"] = {"sql": show} if isinstance(show, str) else dict(show)
    require = {"drowned": require_drowned, "question": require_question}
    if any(value is not None for value in require.values()):
        asked["require"] = {name: value for name, value in require.items() if value is not None}
    return asked


def _asked(question: Any, sql: str | None, bounds: Mapping[str, int] | None) -> dict[str, Any]:
    if (question is None) == (sql is None):
        raise Misused('ask one question: of a builder, as JSON, or sql="SELECT ..."')
    if isinstance(question, str):
        question, sql = None, question
    if sql is not None:
        return {"sql": sql} if bounds is None else {"sql": sql, "bounds": dict(bounds)}
    if isinstance(question, Question):
        shape = question.to_json()
    elif isinstance(question, Mapping):
        if "privacy" in question:
            raise Misused("this is a whole body: give its query, and what it may spend beside it (epsilon=...)")
        shape = dict(question)
    else:
        raise Misused(f"{question!r} is no question: build one with study.table(...), or write JSON or SQL")
    if bounds is not None:
        shape["bounds"] = {**shape.get("bounds", {}), **bounds}
    return {"query": shape}
