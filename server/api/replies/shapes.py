"""What the shapes of all replies share: they may get more members, and some parts are components of their own."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import INCLUDE, Schema, fields


class Reply(Schema):
    """A shape of what is sent. Later versions may send more members: clients ignore those that they do not know."""

    class Meta:
        """In the OpenAPI document its `additionalProperties` are true."""

        unknown: ClassVar[str] = INCLUDE


class Part(fields.Raw):
    """A part that is sent as it was made. In the OpenAPI document it refers to a component by name."""

    def __init__(self, component: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.component = component


class PartList(fields.List[Any]):
    """A list of such parts, sent as it was made: a list of a million is not walked through for nothing."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        return value
