"""Parses each class's settings once: for one command, jsonargparse parses those of nested classes dozens of times.

Parsing takes half the time of a small run. The parser of a class is the same object in all commands of a process, and
makes the same of equal settings, if the context of jsonargparse and the folders of modules are the same too.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse._common import parser_context_vars
from jsonargparse._typehints import sub_defaults

PARSE = ArgumentParser.parse_object
CONTEXT = [var for name, var in parser_context_vars.items() if name not in ("parent_parser", "defaults_cache")]
"""Variables of jsonargparse, beside the arguments, on which the result depends."""
parsed: dict[object, tuple[ArgumentParser, Namespace]] = {}
"""Result by parser, arguments and context. The parser is kept, so that no other one gets its id."""


def parse_object(
    self: ArgumentParser, obj: Any, namespace: Namespace | None = None, *others: Any, **options: Any
) -> Namespace:
    """Return a copy of an earlier result where there is one. Errors are not kept."""
    context = tuple(repr(var.get()) for var in [*CONTEXT, sub_defaults])
    key = (id(self), frozen((obj, namespace, others, options)), context, tuple(sys.path))
    if key not in parsed:
        parsed[key] = self, copy.deepcopy(PARSE(self, obj, namespace, *others, **options))
    return copy.deepcopy(parsed[key][1])


def frozen(value: Any) -> object:
    """Return what is equal, types and order included, for equal settings."""
    if isinstance(value, Namespace):
        return Namespace, frozen(vars(value))
    if isinstance(value, dict):
        return dict, tuple((key, frozen(each)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(frozen, value))
    return type(value), repr(value)


def install() -> None:
    """Replace the method of all parsers in this process."""
    ArgumentParser.parse_object = parse_object  # type: ignore[method-assign]
