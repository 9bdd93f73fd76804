"""The report's Jinja templates, and the formats of the values in them.

The templates are the files in ``templates/``. Every value is escaped, except for the output of another template.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **values: Any) -> Markup:
    """Fill in a template.

    Args:
        template: Name of a file in ``templates/``.
        values: Variables of the template.
    """
    return Markup(_TEMPLATES.get_template(template).render(values))


def is_known(*values: Any) -> bool:
    """Whether all values are finite numbers."""
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)


def duration(seconds: float) -> str:
    """Format a duration, such as 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def setting(value: Any) -> str:
    """Format a setting on one line, as in a config."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def settings(config: dict[str, Any]) -> str:
    """Format a config as YAML."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates"), encoding="utf-8"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "formatted": format,
    "exact": repr,
    "duration": duration,
    "setting": setting,
    "settings": settings,
}
_TEMPLATES.tests |= {"known": is_known, "nan": math.isnan}
