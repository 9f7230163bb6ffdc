"""The warm runner: playbooks start in processes forked from one that has imported Ansible already.

    ansible-runner --exec--> client.py --request--> server.py --hands on--> template.py --fork--> guard.py --fork--> the playbook
                                 |                                                                   |
                                 +------------------- go, signals; ready, refuse, exit --------------+

The control loop is free of Ansible: only `ansible_state.py` and `collection.py` import it, inside template processes, at run time.
"""
