#!/usr/bin/env python3
"""When a meeting at 02:30 begins on every day on which a zone's clocks change: the oracle of ../zone_changes.rs.

    pip install tzdata==2025.2
    PYTHONTZPATH= python3 zones.py > zones.txt

tzdata is pinned to the version of the zone data inside chrono-tz (2025.2 is 2025b), PYTHONTZPATH= keeps the system's away;
the first line of the file names it. Whoever updates chrono-tz makes the file anew with the tzdata of the same version.

For every zone and every change of its offset from 2024 to 2037: the local days within a day of the change, each as the
instant (UTC) at which a meeting at 02:30 begins and how: "." as ever, "g" in a gap, "o" in an overlap. A local time in a
gap is read with the offset before it (and so is later by the gap), of two the first counts: Python's fold=0.

A line is `zone days`, where days is a list of `YYYYMMDD:how:instant`; zones with the same days share a line.
"""

from datetime import date, datetime, timedelta, timezone
from importlib import metadata
from zoneinfo import ZoneInfo, available_timezones

FIRST, LAST = 2024, 2037


def offset(zone, instant):
    return instant.replace(tzinfo=timezone.utc).astimezone(zone).utcoffset()


def changes(zone):
    """The instants (naive UTC) at which the offset changes, found by halves from one day to the next."""
    at, end = datetime(FIRST, 1, 1), datetime(LAST + 1, 1, 1)
    while at < end:
        following = at + timedelta(days=1)
        if offset(zone, at) != offset(zone, following):
            low, high = at, following
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low).total_seconds() // 2)
                low, high = (middle, high) if offset(zone, low) == offset(zone, middle) else (low, middle)
            yield high
        at = following


def start(zone, day):
    local = datetime(day.year, day.month, day.day, 2, 30)
    instants = [local.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1)]
    back = instants[0].astimezone(zone).replace(tzinfo=None)
    how = "g" if back != local else "o" if instants[0] != instants[1] else "."
    return f"{day:%Y%m%d}:{how}:{int(instants[0].timestamp())}"


def days(zone):
    found = []
    for change in changes(zone):
        near = (change + offset(zone, change)).date()
        for day in (near - timedelta(days=1), near, near + timedelta(days=1)):
            text = start(zone, day)
            if text not in found:
                found.append(text)
    return " ".join(found)


def main():
    version = metadata.version("tzdata").split(".")
    print(f"# tzdata {version[0]}{chr(ord('a') + int(version[1]) - 1)}")
    names = sorted(name for name in available_timezones() if name not in ("localtime", "posixrules"))
    alike = {}
    for name in names:
        alike.setdefault(days(ZoneInfo(name)), []).append(name)
    for text, zones in sorted(alike.items(), key=lambda item: item[1]):
        print(f"{','.join(zones)} {text}".rstrip())


if __name__ == "__main__":
    main()
