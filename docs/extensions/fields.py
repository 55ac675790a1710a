"""How the reference shows fields of modules: `from_logits: bool = False`, and not the `eqx.field(...)` that says so."""

from typing import Any

import griffe


class Fields(griffe.Extension):
    """Gives fields the value of their default, and takes away the labels that all of them have."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        attr.labels -= {"class-attribute", "instance-attribute"}
        value = attr.value
        if isinstance(value, griffe.ExprCall) and str(value.function) == "eqx.field":
            options = {a.name: a.value for a in value.arguments if isinstance(a, griffe.ExprKeyword)}
            attr.value = options.get("default")
