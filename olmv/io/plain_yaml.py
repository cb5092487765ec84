"""YAML of strangers: plain data only, and bounded.

A file of 1 kB can name a list of nine lists of nine lists ... by aliases. It is read at once, for the parts are shared,
but whoever walks over it never ends.
"""

from collections import Counter
from typing import Any

import yaml

from olmv.errors import reason

__all__ = ["MAX_NODES", "load_yaml"]

MAX_NODES = 2_000_000
"""Values in a file, every alias counted as what it stands for."""


def load_yaml(text: str, loader: Any = None) -> Any:
    """Read the plain data in this text.

    Args:
        text: one YAML document.
        loader: a subclass of yaml's SafeLoader; default: yaml's own, in C where there is one.

    Raises:
        yaml.YAMLError: not YAML, a key written twice, nested too deeply, values that cannot be, such as the date
            2020-99-99, or aliases that unfold to more than `MAX_NODES` values or contain themselves.
    """
    try:
        reader = (loader or getattr(yaml, "CSafeLoader", yaml.SafeLoader))(text)
    except UnicodeEncodeError:  # a byte of the command line that is not UTF-8
        raise yaml.YAMLError("it has a character that is none") from None
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        if _unfolded(node) > MAX_NODES:
            raise yaml.YAMLError(f"its aliases unfold to more than {MAX_NODES:,} values; write out what is needed")
        return reader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as failure:
        # yaml's own way with a date, number or time that is none: `!!int ""` is an IndexError
        raise yaml.YAMLError(f"a value in it cannot be ({reason(failure)})") from None
    finally:
        reader.dispose()


def _unfolded(root: yaml.Node) -> int:
    """Count the nodes that a walk over the whole tree meets, by one look at each of them."""
    sizes: dict[int, int] = {}
    opened: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting[-1]
        parts = _parts(node)
        if id(node) in sizes:
            waiting.pop()
        elif id(node) in opened:  # its parts are known now
            sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
            waiting.pop()
        else:
            opened.add(id(node))
            for part in parts:
                if id(part) in opened and id(part) not in sizes:
                    raise yaml.YAMLError("an alias in it contains itself; write out what is needed")
                waiting.append(part)
    return sizes[id(root)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        keys = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        keys.pop(("tag:yaml.org,2002:merge", "<<"), None)
        if keys and max(keys.values()) > 1:  # yaml keeps the last one and says nothing
            (_, key), _ = keys.most_common(1)[0]
            raise yaml.YAMLError(f"{key!r} is there twice; merge the two")
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []
