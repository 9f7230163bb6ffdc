"""`make bench`: how fast the network functions are, and how long traffic is gone when something moves or dies.

`python -m closedloop_tools.bench [--only PART...]` as root. The parts that look at the functions alone build a small network of namespaces
of their own (testbed.py); those about failover and handover run the lab's playbooks. Everything ends up in reports/bench/.
"""
