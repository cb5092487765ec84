from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olmv.errors import InputError, UsageError
from olmv.serve.review.leases import LEASE_S
from olmv.serve.review.session import ReviewSession
from tests.serve.review.sources import Clock, made_source, session_in


def judge_next(session: ReviewSession, count: int, *, label: str = "dog", reviewer: str = "ann") -> list[str]:
    """Judge the next videos true where the model is sure, and return them."""
    videos = []
    for _ in range(count):
        (item,) = session.queue(label, reviewer=reviewer, count=1)
        video = session.source.keys[item.place]
        session.judge(video, label, item.probability > 0.4, reviewer=reviewer, order=item.order)
        videos.append(video)
    return videos


def test_a_review_goes_on_where_it_was_left(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        first = judge_next(session, 10)
        before = session.summary("dog")
        upcoming = [item.place for item in session.queue("dog", reviewer="ann", count=5)]
    assert len(set(first)) == 10
    assert before.right + before.wrong == 10
    with session_in(tmp_path) as session:
        assert session.summary("dog") == before
        assert [item.place for item in session.queue("dog", reviewer="ann", count=5)] == upcoming
        assert session.left("dog") == 30


def test_reviewers_are_asked_about_different_videos_until_one_goes_away(tmp_path: Path) -> None:
    clock = Clock()
    with session_in(tmp_path, clock=clock) as session:
        ann, bob = ({item.place for item in session.queue("dog", reviewer=name, count=3)} for name in ("ann", "bob"))
        assert not ann & bob
        assert {item.place for item in session.queue("dog", reviewer="ann", count=3)} == ann
        clock.now = LEASE_S + 1
        assert {item.place for item in session.queue("dog", reviewer="bob", count=3)} == ann


def test_a_page_is_not_given_what_it_has(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        keys = session.source.keys
        first = [keys[item.place] for item in session.queue("dog", count=3)]
        more = session.queue("dog", count=2, without=[*first[:2], "gone.mp4"])
        assert keys[more[0].place] == first[2]


def test_undo_takes_back_ones_own_last_verdict_and_an_earlier_one_counts_again(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        session.judge("clips/001.mp4", "dog", True, reviewer="ann")
        session.judge("clips/002.mp4", "rain", True, reviewer="bob")
        session.judge("clips/001.mp4", "dog", False, reviewer="ann")
        assert (session.summary("dog").right, session.summary("dog").wrong) == (0, 1)
        undone = session.undo("ann")
        assert undone is not None
        assert (undone.place, undone.label, undone.verdict) == (1, "dog", True)
        assert (session.summary("dog").right, session.summary("dog").wrong) == (1, 0)
        assert session.undo("ann") is not None
        assert session.undo("ann") is None
        assert session.summary("rain").right == 1
    with session_in(tmp_path) as session:  # undone for good
        assert session.summary("dog").right == 0
        assert session.undo("bob") is not None


def test_an_undone_video_comes_again_first(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        videos = judge_next(session, 4)
        session.undo("ann")
        session.undo("ann")
        assert judge_next(session, 2) == videos[2:]


def test_who_disagrees_is_kept_and_the_last_verdict_counts(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        session.judge("clips/001.mp4", "dog", True, reviewer="ann")
        session.judge("clips/001.mp4", "dog", False, reviewer="bob")
        summary = session.summary("dog")
        assert (summary.right, summary.wrong, summary.conflicts) == (0, 1, 1)
        ((item, words),) = session.conflicts("dog")
        assert item.place == 1
        assert [(word.reviewer, word.verdict) for word in words] == [("ann", True), ("bob", False)]
        session.judge("clips/001.mp4", "dog", True, reviewer="bob")
        assert session.conflicts("dog") == []
        assert session.reviewers() == {"ann", "bob"}


def test_skipped_videos_are_in_no_figure_and_come_again_for_others(tmp_path: Path) -> None:
    with session_in(tmp_path, made_source(3)) as session:
        for _ in range(3):
            (item,) = session.queue("dog", reviewer="ann", count=1)
            session.judge(session.source.keys[item.place], "dog", None, reviewer="ann", order=item.order)
        assert session.queue("dog", reviewer="ann") == []
        assert len(session.queue("dog", reviewer="bob")) == 3
        assert session.summary("dog").skipped == 3
        assert session.left("dog") == 0
        assert session.truth() == "video,labels,absent\r\n"


def test_the_order_stays_where_the_threshold_goes(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        before = [item.place for item in session.queue("dog", count=40)]
        session.set_threshold("dog", 0.1)
        assert [item.place for item in session.queue("dog", count=40)] == before
        assert session.summary("dog").anchor == pytest.approx(0.5)
        assert session.summary("dog").quality.positives == (session.source.probability[:, 0] >= 0.1).sum()


def test_ordered_anew_earlier_verdicts_count_for_themselves_alone(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        judge_next(session, 20)
        state = session._record.state("dog")
        assert (state.judged().sampled.sum(), state.judged().census.sum()) == (20, 0)
        (stale,) = session.queue("dog", reviewer="ann", count=1)
        session.set_threshold("dog", 0.2)
        session.order_anew("dog", reviewer="ann")
        assert session.summary("dog").anchor == pytest.approx(0.2)
        assert (state.judged().sampled.sum(), state.judged().census.sum()) == (0, 20)
        # an answer to the order that was: met elsewhere
        session.judge(session.source.keys[stale.place], "dog", True, reviewer="ann", order=stale.order)
        judge_next(session, 5)
        assert (state.judged().sampled.sum(), state.judged().census.sum()) == (5, 21)


def test_a_sample_ends_where_too_many_before_it_are_open(tmp_path: Path) -> None:
    with session_in(tmp_path, made_source(200)) as session:
        items = session.queue("dog", count=200)
        for item in (*items[:10], items[40], items[150]):
            session.judge(session.source.keys[item.place], "dog", True, order=item.order)
        judged = session._record.state("dog").judged()
        assert judged.sampled.sum() == 11  # the last one waits for those before it
        following = items[41].place
        order = session._record.state("dog").order
        assert order is not None
        assert (judged.inclusion == order.inclusion(following)).all()


def test_two_servers_on_one_review_see_each_other(tmp_path: Path) -> None:
    with session_in(tmp_path) as one, session_in(tmp_path) as two:
        judge_next(one, 3, reviewer="ann")
        assert two.left("dog") == 37
        judge_next(two, 3, reviewer="bob")
        assert one.summary("dog") == two.summary("dog")
        assert one.truth() == two.truth()


def test_figures_appear_once_enough_was_reviewed(tmp_path: Path) -> None:
    with session_in(tmp_path, made_source(400)) as session:
        assert session.summary("dog").quality.precision is None
        assert session.suggestion("dog") is None
        judge_next(session, 120)
        quality = session.summary("dog").quality
        assert quality.precision is not None
        assert quality.recall is not None
        suggestion = session.suggestion("dog")
        assert suggestion == pytest.approx(0.4, abs=0.1)  # what the verdicts were made of
        assert suggestion is not None
        better = session.quality("dog", suggestion)
        assert better.f1 is not None
        assert quality.f1 is not None
        assert better.f1 > quality.f1


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        for call in (session.queue, session.summary, session.suggestion, session.conflicts, session.source.histogram):
            with pytest.raises(InputError, match="'cat' is none of the 2 labels of this review; choose one"):
                call("cat")
        with pytest.raises(InputError, match=r"'x.mp4' is none of the videos of this review; reload the page"):
            session.judge("x.mp4", "dog", True)
        with pytest.raises(UsageError, match=r"the threshold of 'dog' is 1\.5; give a number from 0 to 1"):
            session.set_threshold("dog", 1.5)
        with pytest.raises(UsageError, match="the threshold of 'dog' is nan; give a number from 0 to 1"):
            session.quality("dog", float("nan"))
        with pytest.raises(
            UsageError, match="event-f1 is about events over time, a review about whole videos; give f1"
        ):
            session.suggestion("dog", "event-f1")


def test_histograms_and_counts_are_those_of_the_scores() -> None:
    source = made_source(500)
    assert sum(source.histogram("dog")) == 500
    assert source.histogram("dog") is source.histogram("dog")
    counts = source.positives("dog")
    assert counts[0] == 500
    for step in (1, 250, 500, 999):
        assert counts[step] == (source.probability[:, 0] >= step / 1000).sum()


def test_a_large_source_is_reviewed_too(tmp_path: Path) -> None:
    source = made_source(100_000, ("dog",))
    with session_in(tmp_path, source) as session:
        videos = judge_next(session, 30)
        probability = source.probability[[source.places[video] for video in videos], 0]
        assert np.median(np.abs(probability - 0.5)) < 0.3
        assert session.left("dog") == 99_970


def test_a_review_goes_on_with_other_labels_and_videos(tmp_path: Path) -> None:
    with session_in(tmp_path, made_source(labels=("dog", "rain"))) as session:
        judged = judge_next(session, 12)
        session.judge("clips/001.mp4", "rain", True, reviewer="ann")
        session.set_threshold("dog", 0.3)
        before = session.summary("dog")
    with session_in(tmp_path, made_source(labels=("dog",))) as session:
        assert session.summary("dog").right == before.right
        assert session.undo("ann") is not None  # the last on a label that is served
        assert "rain" in session.truth()
    with session_in(tmp_path, made_source(labels=("snow", "rain"))) as session:
        assert session.summary("snow").right + session.summary("snow").wrong == 0
        assert session.summary("rain").right == 1
        assert {line.split("/")[-1].split(",")[0] for line in session.truth().splitlines()[1:]} == {
            "001.mp4",
            *(video.removeprefix("clips/") for video in judged[:-1]),
        }


def test_of_other_scores_there_is_another_order_and_what_was_judged_counts_for_itself(tmp_path: Path) -> None:
    with session_in(tmp_path, made_source(400)) as session:
        judge_next(session, 60)
        judged = session._record.state("dog").judged()
        assert (judged.sampled.sum(), judged.census.sum()) == (60, 0)
    with session_in(tmp_path, made_source(400, seed=1)) as session:
        judged = session._record.state("dog").judged()
        assert (judged.sampled.sum(), judged.census.sum()) == (0, 60)
        (item,) = session.queue("dog", count=1)
        assert item.order == 62
    with session_in(tmp_path, made_source(400)) as session:  # the scores of before: so is the order
        judged = session._record.state("dog").judged()
        assert (judged.sampled.sum(), judged.census.sum()) == (60, 0)


def test_thresholds_are_of_a_model(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        session.set_threshold("dog", 0.3)
    with session_in(tmp_path) as session:
        assert session.summary("dog").threshold == 0.3
    source = made_source()
    scored = replace(source.loaded.scored, model="another")
    with session_in(tmp_path, replace(source, loaded=replace(source.loaded, scored=scored))) as session:
        assert session.summary("dog").threshold == 0.5


def test_the_last_verdict_is_the_last_one_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    years = iter(range(2030, 2000, -1))
    monkeypatch.setattr("olmv.serve.review.store._now", lambda: f"{next(years)}-01-01T00:00:00+00:00")
    with session_in(tmp_path) as session:
        for verdict in (True, True, False):
            kept = session.judge("clips/001.mp4", "dog", verdict, reviewer="ann")
        assert kept.at.startswith("2027")
        assert (session.summary("dog").right, session.summary("dog").wrong) == (0, 1)
    with session_in(tmp_path) as session:
        assert session.summary("dog").wrong == 1
        undone = session.undo("ann")
        assert undone is not None
        assert undone.verdict is True


def test_two_servers_of_one_review_see_each_others_verdicts(tmp_path: Path) -> None:
    with session_in(tmp_path) as one, session_in(tmp_path) as other:
        (mine,), (yours,) = one.queue("dog", reviewer="ann", count=1), other.queue("dog", reviewer="bob", count=1)
        assert mine == yours  # what is held is known to one server alone
        one.judge(mine.video, "dog", True, reviewer="ann", order=mine.order)
        assert other.queue("dog", reviewer="bob", count=1)[0].place != mine.place
        other.judge(mine.video, "dog", False, reviewer="bob", order=yours.order)
        assert one.summary("dog") == other.summary("dog")
        assert one.summary("dog").conflicts == 1
        one.follow(made_source(50))  # one server has seen the library grow, the other has not
        (mine,) = one.queue("dog", reviewer="ann", count=1)
        assert mine.order not in (None, yours.order)
        one.judge(mine.video, "dog", True, reviewer="ann", order=mine.order)
        (yours,) = other.queue("dog", reviewer="bob", count=1)
        other.judge(yours.video, "dog", True, reviewer="bob", order=yours.order)
        assert one.summary("dog").total == 50
        assert other.summary("dog").total == 40
        assert one.summary("dog").right == 2
        one.follow(other.source)
        assert one.summary("dog") == other.summary("dog")
