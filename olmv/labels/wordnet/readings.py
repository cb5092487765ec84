"""From a label to what WordNet may know of it: the words that carry it, and every meaning each may have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from olmv.labels.label import Label
from olmv.labels.wordnet.store import Sense, Synset, WordNet
from olmv.labels.wordnet.words import FUNCTION_WORDS, PREPOSITIONS, tokens_of

__all__ = ["Reading", "Term", "read", "read_label"]

LONGEST_LEMMA = 5
MAX_TOKENS = 40
ACTS = ("noun.act", "noun.process")
PARTICLES = frozenset(("up", "down", "off", "out"))
"""Prepositions that belong to the verb before them more often than to the noun behind them."""


@dataclass(frozen=True)
class Term:
    """One or more words of a label that stand in the dictionary together.

    Args:
        words: as in the label, in small letters.
        senses: what they can mean.
    """

    words: tuple[str, ...]
    senses: tuple[Sense, ...]


@dataclass(frozen=True)
class Reading:
    """What a label is made of.

    Args:
        head: what the label is, a thing or an action.
        others: what the action is done to or by, or what the thing is told apart with; in order.
        action: whether an action was found among several words.
    """

    head: Term
    others: tuple[Term, ...] = ()
    action: bool = False


def read(label: str, dictionary: WordNet) -> Reading | None:
    """Take a label apart; None if the dictionary does not know what it is.

    The longest run of words that stands in the dictionary counts: a "hot dog" is no dog. In "playing guitar" the
    action is the head, in "small red car" and "hat with a wide brim" the noun.
    """
    tokens = tokens_of(label)[:MAX_TOKENS]
    if not tokens:
        return None
    if (whole := _term(tokens, dictionary)) is not None:
        return Reading(whole)
    pieces = _split(tokens, dictionary)
    terms = [piece for piece in pieces if isinstance(piece, Term)]
    head = _action(terms, dictionary)
    if head is not None:
        others = [_only(term, dictionary, lambda synset: synset.pos == "n") for term in terms if term is not head]
        head = _only(head, dictionary, lambda synset: synset.pos == "v" or synset.subject in ACTS)
        return Reading(head, tuple(term for term in others if term.senses), action=True)
    head = _thing(pieces, dictionary)
    if head is None:
        return None
    others = [term for term in terms if term is not head]
    return Reading(_only(head, dictionary, lambda synset: synset.pos == "n"), tuple(others))


def read_label(label: Label, dictionary: WordNet) -> Reading | None:
    """Read as `read` does, with what the aliases tell: "computer mouse" leaves one meaning of "mouse".

    A label that the dictionary does not know is what its first known alias is.
    """
    reading = read(label.name, dictionary)
    for alias in label.aliases:
        other = read(alias, dictionary)
        if reading is None or other is None:
            reading = reading or other
            continue
        numbers = {sense.number for sense in other.head.senses}
        agreed = tuple(sense for sense in reading.head.senses if sense.number in numbers)
        if agreed:
            reading = replace(reading, head=replace(reading.head, senses=agreed))
    return reading


def _term(words: Sequence[str], dictionary: WordNet) -> Term | None:
    senses = dictionary.senses(words)
    return Term(tuple(words), tuple(senses)) if senses else None


def _split(tokens: Sequence[str], dictionary: WordNet) -> list[Term | str]:
    """Return the longest known runs from the left; words that are not known, or only join others, stay words."""
    pieces: list[Term | str] = []
    at = 0
    while at < len(tokens):
        for size in range(min(LONGEST_LEMMA, len(tokens) - at), 0, -1):
            words = tokens[at : at + size]
            # "sit up straight", but not "run on" in "running on a beach"
            joins = FUNCTION_WORDS - (PARTICLES if at + size < len(tokens) else PREPOSITIONS)
            if words[0] in FUNCTION_WORDS or words[-1] in joins:
                continue
            if (term := _term(words, dictionary)) is not None:
                pieces.append(term)
                break
        else:
            size = 1
            pieces.append(tokens[at])
        at += size
    return pieces


def _action(terms: Sequence[Term], dictionary: WordNet) -> Term | None:
    """Return the first of the terms that says what is done."""
    for at, term in enumerate(terms):
        synsets = [dictionary[sense.number] for sense in term.senses]
        if at == 0 and all(synset.pos == "v" for synset in synsets):
            return term
        if term.words[0].endswith("ing") and any(synset.pos == "v" for synset in synsets):
            noun = next(
                (dictionary[s.number] for s in term.senses if s.exact and dictionary[s.number].pos == "n"), None
            )
            if noun is None or noun.subject in ACTS:
                return term
    return None


def _thing(pieces: Sequence[Term | str], dictionary: WordNet) -> Term | None:
    """Return the last noun before the first preposition, unless an unknown word stands in its place."""
    head = None
    begun = False
    for piece in pieces:
        if isinstance(piece, Term):
            begun = True
            if any(dictionary[sense.number].pos == "n" for sense in piece.senses):
                head = piece
        elif piece in PREPOSITIONS:
            if begun:
                break
        elif piece not in FUNCTION_WORDS:
            head, begun = None, True
    return head


def _only(term: Term, dictionary: WordNet, fits: Callable[[Synset], bool]) -> Term:
    return Term(term.words, tuple(sense for sense in term.senses if fits(dictionary[sense.number])))
