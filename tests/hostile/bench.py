"""A million attacks on the control loop, into reports/hostile/.

    python -m tests.hostile.bench [--events 1000000] [--seed N]

Progress is printed every few seconds. The exit status is 1 where a claim of claims.py does not hold.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from closedloop_tools.report import at_least, at_most, write_report

from tests.hostile.claims import CLAIMS
from tests.hostile.findings import Findings

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports/hostile"


def draw(findings: Findings, file: Path) -> None:
    """How often each kind of request got which answer."""
    kinds = sorted({answer.rpartition(" ")[0] for answer in findings.answers})
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    bottom: Counter[str] = Counter()
    for status in sorted({answer.rpartition(" ")[2] for answer in findings.answers}):
        counts = [findings.answers.get(f"{kind} {status}", 0) for kind in kinds]
        axes.bar(kinds, counts, bottom=[bottom[kind] for kind in kinds], label="no answer" if status == "0" else status)
        bottom.update(dict(zip(kinds, counts, strict=True)))
    axes.set(
        yscale="log", ylabel="requests", title=f"{findings.accepted} attacks accepted, {len(findings.seen)} canaries, seed {findings.seed}"
    )
    axes.legend()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    options = parser.parse_args()
    argv = [sys.executable, "-m", "tests.hostile", "--events", str(options.events), "--seed", str(options.seed)]
    subprocess.run(argv, cwd=ROOT, check=True)
    findings = Findings.read(REPORT / "findings.json")
    problems = {claim: found for claim, check in CLAIMS.items() if (found := check(findings))}
    for claim in CLAIMS:
        print(f"{'NOT SO' if claim in problems else 'holds '}  {claim}", *problems.get(claim, [])[:10], sep="\n          ")
    run = {
        "seed": str(findings.seed),
        "attacks": findings.accepted,
        "attacks_per_s": findings.accepted / findings.seconds,
        "playbooks": findings.playbooks,
        "canaries": len(findings.seen),
        "claims_broken": len(problems),
    }
    write_report(
        "hostile",
        [run],
        aims={"attacks": at_least(options.events), "canaries": at_most(0), "claims_broken": at_most(0)},
    )
    draw(findings, REPORT / "hostile.png")
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
