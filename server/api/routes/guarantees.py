"""What an epsilon means, before anybody sets it."""

from __future__ import annotations

from typing import Any

from server.api import replies
from server.api.requests.schemas import GuaranteeSchema
from server.reporting import attack_odds, guarantee
from server.web.auth import ROLES, for_roles
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("guarantees", __name__, description="What an epsilon means")


@blueprint.route("/guarantee")
@for_roles(*ROLES, beyond_a_study=True)
@blueprint.arguments(GuaranteeSchema, location="query")
@blueprint.response(200, replies.Meaning)
def show_guarantee(asked: dict[str, int]) -> Any:
    """Return how an epsilon, perhaps with a delta, limits attacks on one person."""
    return guarantee.describe(attack_odds.Guarantee(asked["epsilon_nano"], asked["delta_atto"], attack_odds.BY_LIMIT))
