#!/usr/bin/env python3
"""What python-dateutil and zoneinfo make of random rules: the oracle of ../recurrence.rs.

    pip install python-dateutil tzdata==2025.2
    PYTHONTZPATH= python3 generate.py [SEED [CASES [STARTS PER CASE]]] > recurrence.jsonl

tzdata is pinned to the version of the zone data inside chrono-tz, PYTHONTZPATH= keeps the system's away. The same
seed gives the same file (but for rules near the limit of patience). Each line is one case:

    {"zone", "start" (local), "rule", "from", "until" (UTC, seconds), "starts": [[local start, UTC seconds], …]}

dateutil does the recurrence in naive local time. This file does the rest independently of the Rust code: UNTIL in its
three forms, the way from local time to UTC (fold=0: the earlier of two; in a gap the offset before it), and of two
starts on one instant the one at its own local time. Rules that dateutil fails on, or does not get done with, are left
out. Its week numbers around New Year are put right (`week_fits`). BYDAY never mixes days with and without a number,
where dateutil intersects and RFC 5545 unites.
"""

import calendar
import json
import random
import signal
import sys
import warnings
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from dateutil import rrule

ZONES = [
    "UTC", "Europe/Paris", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns",
    "America/Santiago", "America/Sao_Paulo", "Asia/Tokyo", "Asia/Kolkata", "Asia/Tehran", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia", "Pacific/Chatham", "Pacific/Kiritimati",
    "Africa/Casablanca", "Africa/Cairo", "Antarctica/Troll", "America/Havana", "Asia/Beirut", "Asia/Gaza",
]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
FREQUENCIES = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]
LIMIT = int(sys.argv[3]) if len(sys.argv) > 3 else 12


def offset(zone, instant):
    return instant.replace(tzinfo=timezone.utc).astimezone(zone).utcoffset()


def transitions(zone, first, last):
    """The instants (naive UTC) at which the offset changes."""
    found, step, at = [], timedelta(days=7), datetime(first, 1, 1)
    while at.year < last:
        if offset(zone, at) != offset(zone, at + step):
            low, high = at, at + step
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low).total_seconds() // 2)
                if offset(zone, low) == offset(zone, middle):
                    low = middle
                else:
                    high = middle
            found.append(high)
        at += step
    return found


def to_utc(zone, local):
    aware = local.replace(tzinfo=zone, fold=0)
    return (aware.astimezone(timezone.utc)).replace(tzinfo=None)


def exists(zone, local):
    back = to_utc(zone, local).replace(tzinfo=timezone.utc).astimezone(zone).replace(tzinfo=None)
    return back == local


def some(rng, values, most):
    return sorted(rng.sample(values, rng.randint(1, min(most, len(values)))))


def signed(rng, high, most):
    return some(rng, [n for n in range(-high, high + 1) if n], most)


def random_rule(rng, start):
    frequency = rng.choice(FREQUENCIES)
    rank = FREQUENCIES.index(frequency)
    parts = [("FREQ", frequency)]
    if rng.random() < 0.5:
        large = [1, 2, 3, 4, 5, 7, 10, 12, 13, 24, 30, 36, 45, 60, 90, 97, 120, 1440, 1441, 1500, 4321, 10080]
        choice = {0: [1, 2, 3, 4, 5, 10], 1: [1, 2, 3, 5, 6, 7, 12, 18], 2: [1, 2, 3, 4, 5, 52]}
        parts.append(("INTERVAL", rng.choice(choice.get(rank, large))))
    if rng.random() < 0.4:
        parts.append(("WKST", rng.choice(DAYS)))
    by = {}
    chance = rng.choice([0.12, 0.25, 0.4])
    if rng.random() < chance * 1.2:
        by["BYMONTH"] = some(rng, list(range(1, 13)), 4)
    week = frequency == "YEARLY" and rng.random() < chance
    if week:
        by["BYWEEKNO"] = some(rng, [1, 2, 5, 20, 26, 51, 52, 53, -1, -2, -26, -51, -52, -53], 3)
    if rank in (0, 4, 5) and rng.random() < chance * 0.7:
        by["BYYEARDAY"] = signed(rng, 366, 12) if rng.random() < 0.7 else [1, 60, 100, 200, 366, -1, -366]
    if rank != 2 and rng.random() < chance:
        by["BYMONTHDAY"] = signed(rng, 31, 6)
    if rng.random() < chance * 2:
        days = some(rng, DAYS, 4)
        if rank <= 1 and not week and rng.random() < 0.6:
            most = 53 if rank == 0 and "BYMONTH" not in by else 5
            wide = [n for n in range(-most, most + 1) if n]
            near = [1, 2, 3, 4, 5, -1, -2, -5]
            days = [f"{rng.choice(rng.choice([wide, near]))}{day}" for day in days]  # all of them, see above
        by["BYDAY"] = days
    if rng.random() < chance:
        by["BYHOUR"] = some(rng, list(range(24)), 5)
    if rng.random() < chance:
        by["BYMINUTE"] = some(rng, list(range(60)), 5)
    if rng.random() < chance * 0.5:
        by["BYSECOND"] = some(rng, list(range(60)), 3)
    if by and rng.random() < 0.3:
        by["BYSETPOS"] = signed(rng, rng.choice([3, 8, 40]), 3)
    parts += [(name, ",".join(map(str, values))) for name, values in by.items()]
    end = rng.random()
    if end < 0.25:
        parts.append(("COUNT", rng.choice([1, 2, 3, 10, 50, 300])))
    elif end < 0.5:
        span = [timedelta(days=3), timedelta(days=40), timedelta(days=500), timedelta(days=4000)][min(5 - rank, 3)]
        at = start + span * rng.random()
        if rng.random() < 0.3:
            at = at.replace(hour=start.hour, minute=start.minute, second=start.second)
        parts.append(("UNTIL", at.strftime(rng.choice(["%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ"]))))
    head, tail = parts[0], parts[1:]
    rng.shuffle(tail)
    return [head] + tail


def week_fits(rule, day):
    """Whether the day is in a week of BYWEEKNO; weeks begin on WKST and belong to the year of their fourth day."""
    fourth = day + timedelta(days=3 - (day.weekday() - rule._wkst) % 7)
    week = (fourth.timetuple().tm_yday - 1) // 7 + 1
    last = date(fourth.year, 12, 31)
    weeks = week + (last - fourth).days // 7
    return week in rule._byweekno or week - weeks - 1 in rule._byweekno


def rebuild(self, year, month, rebuild=rrule._iterinfo.rebuild):
    """dateutil takes the number of the last week of the year before from the wrong year's length (it has 2022-01-01
    in a week 53 of 2021), and forgets that the first week of the next year is one of its -52nd and -53rd."""
    rebuild(self, year, month)
    if self.rrule._byweekno:
        first = date(year, 1, 1)
        self.wnomask = [week_fits(self.rrule, first + timedelta(days=i)) for i in range(self.yearlen + 7)]


rrule._iterinfo.rebuild = rebuild


class TooSlow(Exception):
    pass


def give_up(*_):
    raise TooSlow


signal.signal(signal.SIGVTALRM, give_up)


def expected(parts, start, zone, first, last):
    """Starts with their instant in [first, last), from dateutil; None when it cannot say in reasonable time."""
    named = dict(parts)
    until = named.pop("UNTIL", None)
    text = ";".join(f"{name}={value}" for name, value in parts if name != "UNTIL")
    try:
        rule = rrule.rrulestr(text, dtstart=start)
    except ValueError as error:
        # dateutil's word for a rule that can never match.
        return [] if "empty set" in str(error) else None
    except IndexError:
        return None
    keep = lambda local: True
    if until and len(until) == 8:
        keep = lambda local: local.strftime("%Y%m%d") <= until
    elif until and until.endswith("Z"):
        keep = lambda local: to_utc(zone, local) <= datetime.strptime(until, "%Y%m%dT%H%M%SZ")
    elif until:
        keep = lambda local: local <= datetime.strptime(until, "%Y%m%dT%H%M%S")
    # The search ends with the window: dateutil would otherwise walk to the year 9999. It takes COUNT with UNTIL.
    rule = rule.replace(until=last + timedelta(days=2))
    locals_ = []
    low, high = first - timedelta(days=2), last + timedelta(days=2)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)
    try:
        for number, local in enumerate(rule):
            if local > high:
                break
            if number > 60000:
                return None
            if local >= low and keep(local):
                locals_.append(local)
    except ValueError:
        return []  # "Invalid combination of interval and byhour resulting in empty rule"
    except (IndexError, TooSlow):
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    native = {to_utc(zone, local) for local in locals_ if exists(zone, local)}
    found = []
    for local in locals_:
        instant = to_utc(zone, local)
        if first <= instant < last and (exists(zone, local) or instant not in native):
            found.append((instant, local))
    found.sort()
    return [[local.strftime("%Y-%m-%dT%H:%M:%S"), calendar.timegm(instant.timetuple())] for instant, local in found]


def case(rng, changes):
    name = rng.choice(ZONES)
    zone = ZoneInfo(name)
    if changes[name] and rng.random() < 0.6:
        # On a local time around a change of the clocks.
        change = rng.choice(changes[name])
        local = change + rng.choice([offset(zone, change), offset(zone, change - timedelta(days=1))])
        start = local + timedelta(minutes=rng.choice([-60, -45, -30, -15, -1, 0, 0, 1, 15, 30, 45, 60]))
        start -= timedelta(days=rng.choice([0, 0, 1, 7, 28, 30, 31, 364, 365, 366]))
    else:
        start = datetime(rng.randint(2009, 2033), 1, 1) + timedelta(minutes=rng.randrange(525600))
        if rng.random() < 0.2:
            start = start.replace(day=rng.choice([1, 28]), month=rng.choice([1, 2, 3, 12]))
            start += timedelta(days=rng.choice([0, 1, 2, 3]))
    if rng.random() < 0.1:
        start += timedelta(seconds=rng.randrange(60))
    parts = random_rule(rng, start)
    rank = FREQUENCIES.index(parts[0][1])
    far = [6000, 2500, 1500, 800, 200, 10][rank]
    first = start + timedelta(days=rng.choice([-1, 0, 0, rng.random() * far, rng.random() * far]))
    first = first.replace(microsecond=0)
    if changes[name] and rng.random() < 0.4:
        later = [change for change in changes[name] if change > start]
        if later and later[0] - start < timedelta(days=far):
            first = later[0] - timedelta(hours=rng.choice([1, 6, 30]))
    last = first + timedelta(days=[4000, 1200, 400, 120, 12, 2][rank] * rng.choice([0.2, 0.6, 1]))
    last = last.replace(microsecond=0)
    starts = expected(parts, start, zone, first, last)
    if starts is None:
        return None
    if len(starts) > LIMIT:
        # Short lists keep the file small; the window ends where the list does.
        last = datetime.fromtimestamp(starts[LIMIT][1], timezone.utc).replace(tzinfo=None)
        starts = [start for start in starts if start[1] < calendar.timegm(last.timetuple())]
    return {
        "zone": name,
        "start": start.strftime("%Y-%m-%dT%H:%M:%S"),
        "rule": ";".join(f"{name}={value}" for name, value in parts),
        "from": calendar.timegm(first.timetuple()),
        "until": calendar.timegm(last.timetuple()),
        "starts": starts,
    }


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 5545
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    warnings.simplefilter("ignore", DeprecationWarning)  # COUNT with UNTIL
    rng = random.Random(seed)
    changes = {name: transitions(ZoneInfo(name), 2010, 2034) for name in ZONES}
    written = empty = 0
    while written < cases:
        one = case(rng, changes)
        if one is None:
            continue
        if not one["starts"]:
            # Some say that nothing comes; too many say little.
            if empty * 10 > written:
                continue
            empty += 1
        print(json.dumps(one, separators=(",", ":")))
        written += 1


if __name__ == "__main__":
    main()
