"""The published experiment again: failovers and scale-outs, one run after the other, and the page that sets them beside it.

    python -m closedloop_tools.measure failover --run 1            one run, a line of reports/failover/runs.jsonl
    python -m closedloop_tools.measure report failover             result.json, runs.csv, pictures and index.html of all runs

`playbooks/measure_failover.yml` and `measure_scaling.yml` bring the lab up and call these.
"""
