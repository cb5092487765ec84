"""From a dictionary's definition to a phrase that says what is seen."""

import re

__all__ = ["phrase"]

_ASIDE = re.compile(r"\([^()]*\)")
_LEAD = re.compile(
    r"^(?:any(?: one)?|either|one|some|an?) of (?:(?:various|several|numerous|many|the|two|a|an|number of) )*"
    r"(?:(?:kinds?|types?|sorts?|species|breeds?|varieties|group|number) of )*"
    r"|^(?:an?|the) (?:kind|type|sort|variety|species|breed|instance|act|action|activity|sport|practice|art) of "
    r"|^(?:an? )?(?:informal|slang|archaic|old|obsolete) (?:terms?|words?|names?) for "
)
# "usually used for drinking" -> "for drinking": the purpose tells the thing, the verb is no picture
_NOT_ALWAYS = "usually|often|chiefly|especially|mainly|formerly|commonly|typically|sometimes|widely|also|once"
_IS_USED = rf",? ?(?:\b(?:that|which) )?(?:\b(?:is|are|was|were|be|can be|may be) )?(?:\b(?:{_NOT_ALWAYS}) )*\bused "
_USED_BY = re.compile(rf"{_IS_USED}by\b ?")
_USED = re.compile(rf"{_IS_USED}(?=(?:to|for|as|in|on|with|at|when|of|chiefly|especially)\b)")
_SIDES = "north|south|east|west|central|temperate|tropical|subtropical|coastal|ancient|upper|lower"
_WHERE = rf"(?:(?:{_SIDES})\w*(?:,| and|,? or)?[ -])*"
_NO_NAME = r"(?!(?:The|An|Any|One|Two|Someone|Something|In|It)\b)"
_NAME = rf"{_NO_NAME}(?:[A-Z][a-z]+(?:['’-][A-Z]?[a-z]+)*|[A-Z]{{2,}})(?![\w-])\.?(?:'s?)?"
_NAMES = rf"{_WHERE}{_NAME}(?:(?:, and|, or|,| and| or| to)? (?:the )?{_WHERE}{_NAME})*"
# "a herb of southern Europe with ...": nothing is lost with the place
_OF_NAMES = re.compile(
    r",? (?:native (?:to|in)|found in|of|in|from|to|by|on|at|for|near|around|throughout|outside|during|after|before)"
    rf"(?: the| a| an)?(?: (?:genus|genera|family|subfamily|order|class|coasts? of|state of))*(?: the)? {_NAMES}"
    r"(?=$|[,:]| (?:that|which|who|whose|where|with|in|of|from|to|by|having|and|or|\w+ing|\w+ed)\b)"
)
_BARE_NAMES = re.compile(rf"{_NAMES} ?")
_YEARS = re.compile(r" (?:in|since|about|around|from|between|by|until|before|after) (?:the )?(?:about )?\d{4}s?\b")
# what a clause after the first says that no picture shows: where it lives, who named it
_ELSEWHERE = re.compile(rf"{_NAME}|\d{{4}}|\b(?:regions?|zones?|elsewhere|native|named|called|invented|placed)\b")
_HANGING_WORDS = """
a an the and or but nor of in on at by to from for with into over under that which who whose whom where when while as
than is are be been was were can may could will would must has have had do does its it their his her usually often
especially formerly chiefly sometimes typically mainly commonly very so more most such like e.g i.e native eastern
western northern southern central north south east west between about around near each through
"""
_HANGING = frozenset(_HANGING_WORDS.split())
_BREAKS = frozenset(("that", "which", "who", "with", "and", "or", "having", "in", "of", "by"))


def phrase(definition: str, most: int) -> str:
    """Shorten a definition to a phrase of at most `most` words; empty if nothing is left.

    Asides, what comes before the thing itself ("any of various"), and names of people and places go; of several
    clauses the first stay as long as there is room.
    """
    first, *more = _ASIDE.sub(" ", definition).split(";")
    text = _tidy(first)
    if len(text.split()) > most:
        return _cut(text, most)
    for clause in more:
        part = _tidy(clause)
        if part and not _ELSEWHERE.search(clause) and len(f"{text} {part}".split()) <= most:
            text = f"{text}, {part}" if text else part
    return text


def _tidy(clause: str) -> str:
    text = " ".join(clause.replace("(", " ").replace(")", " ").split()).replace(" ,", ",")
    if "used " in text:
        text = _USED.sub(" ", _USED_BY.sub(" of ", text))
    if not text.islower():
        text = _BARE_NAMES.sub("", _OF_NAMES.sub("", text))
    text = _YEARS.sub("", text)
    return _trim(_LEAD.sub("", text.strip()).split())


def _cut(text: str, most: int) -> str:
    """Cut to at most so many words, up to where a clause ends."""
    words = text.split()
    ends = [at for at in range(3, min(most, len(words) - 1) + 1) if words[at - 1][-1] in ",:" or words[at] in _BREAKS]
    return _trim(words[: ends[-1] if ends else most])


def _trim(words: list[str]) -> str:
    while words and words[-1].strip(" ,:;.`'").lower() in _HANGING:
        words = words[:-1]
    return " ".join(words).strip(" ,:;.`'")
