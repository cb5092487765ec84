"""Columns say what pyarrow would."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.library.columns import column, numbers, present, values

NUMBERS = {pa.int32(): st.integers(-(2**31), 2**31 - 1), pa.int64(): st.integers(-(2**63), 2**63 - 1)}
REALS = st.floats(allow_nan=False)
KINDS = {
    **NUMBERS,
    pa.float64(): REALS,
    pa.bool_(): st.booleans(),
    pa.string(): st.text(),
    pa.binary(): st.binary(),
    pa.list_(pa.float64()): st.lists(REALS, max_size=4),
    pa.list_(pa.int32()): st.lists(NUMBERS[pa.int32()], max_size=4),
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_column_holds_its_values(kind: pa.DataType) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.none() | KINDS[kind], max_size=20), st.integers(0, 3), st.integers(0, 20))
    def check(items: list[object], first: int, count: int) -> None:
        array = column(items, kind)
        array.validate(full=True)
        assert array.to_pylist() == items
        table = pa.concat_tables([pa.table({"x": array}), pa.table({"x": array})])["x"].slice(first, count)
        some = (items * 2)[first : first + count]
        assert present(table).tolist() == [item is not None for item in some]
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            assert values(table).tolist() == [item or 0 for item in some]
            assert numbers(values(table)).to_pylist() == [item or 0 for item in some]

    check()


def test_what_is_no_utf8_is_escaped() -> None:
    assert column(["a\udcff"], pa.string()).to_pylist() == ["a\\udcff"]
