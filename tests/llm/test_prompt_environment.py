"""Prompts of strangers: what they may do, and that they end."""

from pathlib import Path

import pytest
from jinja2 import TemplateError

from olmv.errors import UsageError
from olmv.llm.prompt_environment import PromptEnvironment
from olmv.llm.prompts import load_prompt

ENVIRONMENT = PromptEnvironment()


def fill(text: str, **variables: object) -> str:
    return ENVIRONMENT.filled(ENVIRONMENT.prepared(text), variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for i in range(3) %}{{ i }}{{ loop.index }}{{ loop.last }};{% endfor %}", "01False;12False;23True;"),
        ("{% for name in names if name > 'a' %}{{ name }}{% else %}none{% endfor %}", "b"),
        ("{% for a in names %}{% for b in names %}{{ a ~ b }} {% endfor %}{% endfor %}", "aa ab ba bb "),
        ("{{ names | join('+') }} {{ 2 * 3 + 1 }} {{ 7 % 4 }} {{ 'a' + 'b' }}", "a+b 7 3 ab"),
        ("{% set word = names[0] | upper %}{{ word }}", "A"),
    ],
)
def test_what_a_prompt_may_do(text: str, expected: str) -> None:
    assert fill(text, names=["a", "b"]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}", "loops take more than 20,000"),
        ("{{ 'a' * 10**9 }}", r"'\*' with numbers up to 1e9 only"),
        ("{{ [0] * 99 }}", r"'\*' with numbers"),
        ("{{ 9 ** 99999 }}", "powers up to 64"),
        ("{{ '%99999999d' % 1 }}", "'%' with numbers"),
        ("{{ 'a'.ljust(10**9) }}", "'ljust' of 'str' object is unsafe"),
        ("{{ '{:>999999999}'.format(1) }}", "'format' of 'str' object is unsafe"),
        ("{{ 'a' | center(10**9) }}", "No filter named 'center'"),
        ("{{ 'aa' | replace('a', 'aaaa') }}", "No filter named 'replace'"),
        ("{% for i in range(9) %}{{ long }}{% endfor %}", "more than 1,000,000 characters"),
        ("{{ long ~ long ~ long ~ long ~ long }}", "more than 1,000,000 characters"),
        ("{{ long + long + long + long + long }}", "more than 1,000,000 characters"),
        ("{{ range(9) | join(long) }}", "more than 1,000,000 characters"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "Macro statement; a prompt has if, for and set only"),
        ("{% set a %}{{ long }}{{ long }}{% endset %}", "AssignBlock statement"),
        ("{% include 'x' %}", "Include statement"),
        ("{{ missing }}", "'missing' is undefined"),
    ],
)
def test_what_it_may_not(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        fill(text, long="x" * 250_000)


def test_a_text_that_doubles_itself_ends() -> None:
    doubling = "{% set ns = namespace(a='aaaaaaaa') %}{% for i in range(40) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}"
    with pytest.raises(TemplateError, match="more than 1,000,000 characters"):
        fill(doubling)


def write_prompt(path: Path, user: str) -> Path:
    path.write_text(
        f"format: olmv-prompt/1\nname: odd\nversion: 1\nsystem: hm\nuser: {user!r}\nschema: {{type: object}}\n"
    )
    return path


def test_a_prompt_file_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    slow = write_prompt(
        tmp_path / "slow.yaml", "{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}"
    )
    with pytest.raises(
        UsageError, match=r"slow.yaml cannot be filled in: its loops take more than 20,000 steps; write"
    ):
        load_prompt(slow).conversation({"label": "dog"})
    zero = load_prompt(write_prompt(tmp_path / "zero.yaml", "{{ 1 / 0 }}"))
    with pytest.raises(UsageError, match=r"zero.yaml cannot be filled in: division by zero"):
        zero.conversation({"label": "dog"})
    with pytest.raises(UsageError, match="is not a valid jinja2 text: line 1 has a Macro statement"):
        load_prompt(write_prompt(tmp_path / "macro.yaml", "{% macro m() %}{% endmacro %}"))


def test_a_prompt_of_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(UsageError, match="its aliases unfold to more than 2,000,000 values; write out what is needed"):
        load_prompt(tmp_path / "bomb.yaml")
