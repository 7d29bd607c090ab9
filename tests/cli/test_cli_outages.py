"""The demo's record, compared with the market."""

import msgspec

from derivtrio import Tick
from derivtrio.cli.outages import Phase, faults_in, survived
from derivtrio.simulator import Market


def test_a_record_is_held_against_the_market() -> None:
    market = Market(1)
    record = [
        Tick(tick.symbol, tick.epoch, tick.quote)
        for tick in market.ticks("1HZ100V", 1_700_000_000, 1_700_000_009)
    ]
    wrong = msgspec.structs.replace(record[5], quote=0.5)
    assert faults_in([], market) == faults_in(record, market) == []
    assert faults_in([*record[:5], *record[6:]], market) == ["1 missing"]
    assert faults_in([*record[:5], wrong, *record[6:]], market) == ["1 missing", "1 wrong"]
    for disorder in ([*record, record[-1]], [record[0], record[2], record[1], *record[3:]]):
        assert faults_in(disorder, market) == ["out of order, or more than once"]
    assert not survived([Phase(ticks=record)] * 2, 0, market)
