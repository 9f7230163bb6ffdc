"""`make demo`: a Mobile IPv6 network comes up from a playbook, a mobile node moves, its home agent dies, the loop brings traffic back.

`python -m closedloop_tools.demo [--keep]` as root, in the checkout. Writes reports/demo/{result.json, runs.csv, timeline.png}.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from closedloop_tools import scenes, timeline
from closedloop_tools.lab import Lab, PlaybookFailed
from closedloop_tools.report import Value, at_most, write_report
from closedloop_tools.scenes import NotHealed, Scene, Traffic, TrafficLost

LAB = "demo"
MOBILE_NODE = "mn1"
LINK = "visited2"
_HIDDEN = "Validating arguments"
"""Tasks that Ansible adds by itself begin so."""


class Narrator:
    """Says what happens and when, seconds since the demo began."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._last = ""

    def chapter(self, text: str) -> None:
        print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)
        self._last = ""

    def step(self, text: str) -> None:
        """A line; one that repeats the last one is left out."""
        if not text.startswith(_HIDDEN) and text != self._last:
            print(f"{time.monotonic() - self._begun:6.1f} s  {text}", flush=True)
            self._last = text


def record(scene: Scene) -> dict[str, Value]:
    """A scene as a run of the report."""
    return {
        "scene": scene.kind,
        "title": scene.title,
        f"{scene.kind}_outage_ms": scene.outage_ms,
        "packets_sent": scene.sent,
        "packets_lost": scene.lost,
        "outage_to_mobile_node_ms": scene.to_mobile_node.silence.outage_ms,
        "outage_from_mobile_node_ms": scene.from_mobile_node.silence.outage_ms,
        **scenes.stage_figures(scene),
    }


def table(told: Sequence[Scene]) -> str:
    """Packets and outages of the scenes, then the stages of each."""
    lines = [f"{'':<28}{'packets sent':>14}{'lost':>8}{'outage':>12}"]
    lines += [f"{scene.title:<28}{scene.sent:>14}{scene.lost:>8}{scene.outage_ms:>9.0f} ms" for scene in told]
    for scene in told:
        lines += ["", f"{scene.title}: what happened when", f"{'at':>9}{'took':>9}"]
        before = scene.cause_ns
        for stage in scene.stages:
            at_ms, took_ms = (stage.at_ns - scene.cause_ns) / 1e6, (stage.at_ns - before) / 1e6
            lines.append(f"{at_ms:>6.0f} ms{took_ms:>6.0f} ms   {stage.what} ({stage.source})")
            before = stage.at_ns
    return "\n".join(lines)


def play(narrator: Narrator) -> list[Scene]:
    """Bring the lab up and play both scenes."""
    lab = Lab(LAB, redundancy="cold", home_agent_address="shared")
    narrator.chapter("The network comes up: ansible-playbook playbooks/site.yml")
    lab.renew(narrator.step)
    with Traffic(lab, MOBILE_NODE) as traffic:
        narrator.chapter(f"{MOBILE_NODE} moves to {LINK}: ansible-playbook playbooks/move.yml")
        narrator.step(f"packets flow between the correspondent node and {MOBILE_NODE}, one per millisecond in each direction")
        moved = scenes.handover(lab, traffic, LINK, narrator.step)
        narrator.step(f"the traffic was gone for {moved.outage_ms:.0f} ms")
        narrator.chapter("The home agent dies (kill -9), and nobody types anything: the loop closes")
        died = scenes.healed(lab, traffic)
        for stage in died.stages:
            narrator.step(f"{(stage.at_ns - died.cause_ns) / 1e6:6.0f} ms   {stage.what} ({stage.source})")
        narrator.step(f"the traffic was gone for {died.outage_ms:.0f} ms; {lab.serving()} serves now")
    return [moved, died]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.demo", description="Show a Mobile IPv6 network at work.")
    parser.add_argument("--keep", action="store_true", help=f"leave the lab {LAB!r} up")
    options = parser.parse_args(arguments)
    started = datetime.now(UTC)
    narrator = Narrator()
    try:
        told = play(narrator)
        folder = write_report(
            "demo",
            [record(scene) for scene in told],
            aims={"handover_outage_ms": at_most(50), "failover_outage_ms": at_most(2000)},
            started=started,
        )
        timeline.draw(told, folder / "timeline.png")
    except KeyboardInterrupt:
        print("\ndemo: stopped. The lab is left as it is; the next demo tears it down.", file=sys.stderr)
        return 130
    except (NotHealed, PlaybookFailed, TrafficLost) as error:
        print(f"\ndemo: {error}\nThe lab is left as it is; the next demo tears it down.", file=sys.stderr)
        return 1
    if not options.keep:
        narrator.chapter("The lab is torn down: ansible-playbook playbooks/teardown.yml")
        Lab(LAB).playbook("teardown", narrator.step).wait()
    print(f"\n{table(told)}\n\nPicture of the packets: {folder / 'timeline.png'}   figures: {folder / 'result.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
