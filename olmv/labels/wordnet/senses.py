"""Which meaning a word has in a list of labels: "mouse" beside "keyboard" is no animal.

Every meaning gets a score: how common it is, whether a camera can see it, and how close it is to what the other
labels may mean. Closeness is counted against all labels at once, not label by label, so that time grows with the
length of the list only:

- by kind: how many labels share a hypernym, worth more the narrower it is (Resnik's similarity, summed);
- by words: what a definition and those around it have in common with those of the others (Lesk's overlap, extended).

Both are damped, so that a few close labels count for more than the many that are of one broad kind. The words of one
label are compared with each other once more, not damped: "cricket" says what "bowling" is in "cricket bowling".
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from olmv.labels.wordnet.meanings import Meaning, overlap
from olmv.labels.wordnet.readings import Reading, Term
from olmv.labels.wordnet.store import Sense, Synset, WordNet

__all__ = ["choose_senses"]

_VISIBLE_SUBJECTS = {
    1.0: "noun.animal noun.artifact noun.body noun.food noun.plant noun.Tops",
    0.8: "noun.act noun.event noun.object noun.person noun.phenomenon verb.motion verb.contact verb.competition "
    "verb.body verb.weather",
    0.6: "verb.consumption verb.creation noun.substance noun.location noun.group",
    0.4: "verb.change verb.perception verb.social noun.shape noun.time noun.cognition",
    0.2: "noun.communication noun.process noun.state verb.cognition verb.communication",
}
VISIBLE = {subject: share for share, subjects in _VISIBLE_SUBJECTS.items() for subject in subjects.split()}
"""How well a camera sees what is filed under a subject; what is not here, not at all."""

# fitted to the known meanings of 1,000 image classes, whole and in part, of 100 nouns, 48 objects, 52 words in labels
# of actions, and 119 words in short lists
COMMON_WEIGHT = 0.6
UNCOUNTED = 0.5
VISIBLE_WEIGHT = 4.0
INFLECTED = -3.0
NOUN = 1.0
KINDS_WEIGHT = 12.0
KINDS_DAMPED = 1.0
WORDS_WEIGHT = 25.0
WORDS_DAMPED = 0.07
LABEL_WORDS_WEIGHT = 35.0
LABEL_KINDS_WEIGHT = 7.5
ACTIONS_WEIGHT = 4.0
"""In a list of actions a label is one, in a list of things a thing."""
APART = 0.3
"""Where a label has several words, these say more than the other labels."""
FEW = 0.5
"""One other label among few says more than one among many."""
PASSES = 2

_Key = TypeVar("_Key", int, str)


def choose_senses(readings: Sequence[Reading], dictionary: WordNet) -> list[dict[Term, int]]:
    """Choose for every reading the synset of each of its terms."""
    labels = [[_Candidates(term, dictionary) for term in (reading.head, *reading.others)] for reading in readings]
    numbers = {number for terms in labels for candidates in terms for number in candidates.numbers}
    meanings = {number: Meaning(dictionary[number], dictionary) for number in numbers}
    for _ in range(PASSES):
        scores = _scores(labels, meanings)
        for terms, of_terms in zip(labels, scores, strict=True):
            for candidates, of_term in zip(terms, of_terms, strict=True):
                candidates.scores = of_term
    return [{candidates.term: candidates.best for candidates in terms} for terms in labels]


class _Candidates:
    """A term, what it may mean, and how good each of that is so far."""

    def __init__(self, term: Term, dictionary: WordNet) -> None:
        self.term = term
        self.numbers = [sense.number for sense in term.senses]
        self.alone = [_alone(sense, dictionary[sense.number]) for sense in term.senses]
        self.scores = self.alone

    @property
    def best(self) -> int:
        """Return the synset with the highest score; of several the first."""
        return self.numbers[self.scores.index(max(self.scores))]

    def weights(self) -> Iterable[tuple[int, float]]:
        """Return synsets and their scores as probabilities."""
        top = max(self.scores)
        powers = [math.exp(score - top) for score in self.scores]
        return zip(self.numbers, (power / sum(powers) for power in powers), strict=True)

    def action_share(self, meanings: Mapping[int, Meaning]) -> float:
        """Tell how probable it is that something done is meant, no thing."""
        return sum(weight for number, weight in self.weights() if meanings[number].is_action)


def _alone(sense: Sense, synset: Synset) -> float:
    """Return the score of a meaning whatever the other labels are."""
    common = COMMON_WEIGHT * math.log(sense.count + UNCOUNTED / (1 + sense.rank))
    visible = VISIBLE_WEIGHT * VISIBLE.get(synset.subject, 0.0)
    return common + visible + (0.0 if sense.exact else INFLECTED) + (NOUN if synset.pos == "n" else 0.0)


class _Profile:
    """What some terms are about: hypernyms and stems, each with the weight of the meanings that have it."""

    def __init__(self) -> None:
        self.kinds: defaultdict[int, float] = defaultdict(float)
        self.words: defaultdict[str, float] = defaultdict(float)

    @classmethod
    def of(cls, candidates: _Candidates, meanings: Mapping[int, Meaning]) -> "_Profile":
        """Return the profile of one term."""
        profile = cls()
        if len(candidates.numbers) == 1:
            meaning = meanings[candidates.numbers[0]]
            profile.kinds.update(dict.fromkeys(meaning.kinds, 1.0))
            profile.words.update(meaning.words)
            return profile
        for number, weight in candidates.weights():
            for kind in meanings[number].kinds:
                profile.kinds[kind] += weight
            for word, value in meanings[number].words.items():
                profile.words[word] += weight * value
        return profile

    @classmethod
    def sum(cls, profiles: Sequence["_Profile"]) -> "_Profile":
        """Add several profiles to one."""
        if len(profiles) == 1:
            return profiles[0]
        total = cls()
        for profile in profiles:
            for kind, weight in profile.kinds.items():
                total.kinds[kind] += weight
            for word, weight in profile.words.items():
                total.words[word] += weight
        return total


def _scores(labels: Sequence[Sequence[_Candidates]], meanings: Mapping[int, Meaning]) -> list[list[list[float]]]:
    """Return for every label, term and meaning the score in the light of the scores so far."""
    profiles = [[_Profile.of(candidates, meanings) for candidates in terms] for terms in labels]
    of_labels = [_Profile.sum(of_terms) for of_terms in profiles]
    whole = _Profile.sum(of_labels)
    with_words: defaultdict[tuple[str, ...], list[_Profile]] = defaultdict(list)
    for terms, profile in zip(labels, of_labels, strict=True):
        for words in {candidates.term.words for candidates in terms}:
            with_words[words].append(profile)
    actions = [terms[0].action_share(meanings) for terms in labels]
    all_actions = sum(actions)
    few = 1 + FEW / max(len(labels) - 1, 1)
    result = []
    for terms, of_terms, own in zip(labels, profiles, actions, strict=True):
        share = (all_actions - own) / (len(labels) - 1) if len(labels) > 1 else 0.5
        of_label = []
        for candidates, profile in zip(terms, of_terms, strict=True):
            scores = candidates.alone
            if len(scores) > 1:
                beside = _Profile.sum([other for other in of_terms if other is not profile])
                same = _Profile.sum(with_words[candidates.term.words])
                near = [_closeness(meanings[number], whole, same, beside, few) for number in candidates.numbers]
                scores = [alone + closeness for alone, closeness in zip(scores, near, strict=True)]
            if len(scores) > 1 and candidates is terms[0]:
                is_action = [meanings[number].is_action for number in candidates.numbers]
                pairs = zip(scores, is_action, strict=True)
                scores = [score + ACTIONS_WEIGHT * (share if action else 1 - share) for score, action in pairs]
            of_label.append(scores)
        result.append(of_label)
    return result


def _closeness(meaning: Meaning, whole: _Profile, same: _Profile, beside: _Profile, few: float) -> float:
    """Tell how close a meaning is to the other labels, and to the other words of its label.

    Args:
        meaning: the meaning.
        whole: all labels.
        same: of these, the label itself and others with the same word, which would only repeat what is known.
        beside: the other terms of the label, which count by themselves.
        few: more than 1 where there are few labels.
    """
    kinds = _shared(meaning.kinds, whole.kinds, same.kinds, KINDS_DAMPED)
    words = _shared(meaning.words, whole.words, same.words, WORDS_DAMPED)
    label_words, label_kinds = overlap(meaning.words, beside.words), overlap(meaning.kinds, beside.kinds)
    apart = few * (KINDS_WEIGHT * kinds + WORDS_WEIGHT * words) * (APART if beside.words else 1.0)
    return apart + LABEL_WORDS_WEIGHT * label_words + LABEL_KINDS_WEIGHT * label_kinds


def _shared(
    values: Mapping[_Key, float], whole: Mapping[_Key, float], same: Mapping[_Key, float], damped: float
) -> float:
    total = 0.0
    for key, value in values.items():
        others = whole[key] - same.get(key, 0.0)
        if others > 1e-9:  # rounding
            total += value * others / (1 + others / damped)
    return total
