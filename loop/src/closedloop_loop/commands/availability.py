"""`closedloop availability`: of MTBF, MTTR, availability and redundancy scheme, solve for the one left out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import msgspec

from closedloop_loop.availability.picture import draw
from closedloop_loop.availability.quantities import Scheme, duration, scheme, unavailability, words
from closedloop_loop.availability.solve import Solution, compare, least, solve
from closedloop_loop.table import table

SUMMARY: Final = "Solve for the one of MTBF, MTTR, availability and redundancy scheme that is left out."
STANDARD: Final = (Scheme(1, 0), Scheme(1, 1), Scheme(1, 2))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mtbf", help="mean time between failures of a unit, for example 123d")
    parser.add_argument("--mttr", help="mean time to repair a unit, for example 106.23s")
    parser.add_argument("--target", help="availability of the whole, for example 0.99999 or 99.999%%")
    parser.add_argument("--scheme", help="1N, 2N, 3N, ... or k+m: k units needed, m spare")
    parser.add_argument("--compare-mttr", metavar="MTTR", help="set the schemes beside those of another MTTR")
    parser.add_argument("--json", action="store_true", help="as a JSON object")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw MTBF against MTTR (.png or .svg)")


def run(args: argparse.Namespace) -> int:
    solution = solve(
        None if args.mtbf is None else duration(args.mtbf, "--mtbf"),
        None if args.mttr is None else duration(args.mttr, "--mttr"),
        None if args.target is None else unavailability(args.target, "--target"),
        None if args.scheme is None else scheme(args.scheme),
    )
    reference_s = None if args.compare_mttr is None else duration(args.compare_mttr, "--compare-mttr")
    schemes = [*STANDARD, *([] if solution.scheme in STANDARD else [solution.scheme])]
    if args.picture is not None:
        draw(solution, schemes, reference_s, args.picture)
    print(json.dumps(as_map(solution, schemes, reference_s), indent=2) if args.json else text(solution, schemes, reference_s))
    return 0


def as_map(solution: Solution, schemes: list[Scheme], reference_s: float | None) -> dict[str, Any]:
    """What --json prints."""
    found = {
        "mtbf_s": solution.mtbf_s,
        "mttr_s": solution.mttr_s,
        "availability": solution.availability,
        "unavailability": solution.unavailability,
        "scheme": str(solution.scheme),
        "solved_for": solution.solved,
        "schemes": msgspec.to_builtins(compare(solution.mtbf_s, solution.mttr_s, solution.unavailability, schemes)),
    }
    if reference_s is not None:
        found["reference"] = {
            "mttr_s": reference_s,
            "least_scheme": str(least(solution.mtbf_s, reference_s, solution.unavailability)),
            "schemes": msgspec.to_builtins(compare(solution.mtbf_s, reference_s, solution.unavailability, schemes)),
        }
        found["least_scheme"] = str(least(solution.mtbf_s, solution.mttr_s, solution.unavailability))
    return found


def text(solution: Solution, schemes: list[Scheme], reference_s: float | None) -> str:
    """What is printed for people; the solved one is marked."""
    facts = [
        ("MTBF of a unit", words(solution.mtbf_s), f"{solution.mtbf_s:.6g} s", "mtbf_s"),
        ("MTTR of a unit", words(solution.mttr_s), f"{solution.mttr_s:.6g} s", "mttr_s"),
        ("availability", nines(solution.unavailability), f"1 - {solution.unavailability:.6g}", "availability"),
        ("scheme", str(solution.scheme), f"{solution.scheme.needed} needed, {solution.scheme.spare} spare", "scheme"),
    ]
    parts = [table(("", "VALUE", "EXACTLY", ""), [(a, b, c, "<- solved" if name == solution.solved else "") for a, b, c, name in facts])]
    for mttr_s in (solution.mttr_s, reference_s):
        if mttr_s is not None:
            parts.append(_schemes(solution, schemes, mttr_s))
    if reference_s is not None:
        here, there = (least(solution.mtbf_s, mttr_s, solution.unavailability) for mttr_s in (solution.mttr_s, reference_s))
        parts.append(f"least scheme with an MTBF of {words(solution.mtbf_s)}: {here} here, {there} with {words(reference_s)}")
    return "\n\n".join(parts)


def nines(unavailable: float) -> str:
    """An availability so that a small rest is not lost."""
    return f"{1 - unavailable:.9g}" if unavailable > 1e-7 else f"1 - {unavailable:.3g}"


def _schemes(solution: Solution, schemes: list[Scheme], mttr_s: float) -> str:
    head = (
        "SCHEME",
        f"MTBF NEEDED, MTTR {words(mttr_s)}",
        f"MTTR ALLOWED, MTBF {words(solution.mtbf_s)}",
        "AVAILABILITY WITH BOTH",
        "MEETS",
    )
    needs = compare(solution.mtbf_s, mttr_s, solution.unavailability, schemes)
    return table(
        head,
        [
            (need.scheme, words(need.mtbf_s), words(need.mttr_s), nines(need.unavailability), "yes" if need.meets else "no")
            for need in needs
        ],
    )
