"""How `helper.py` gets to run on a node without being written there: a command line, and a program to its input."""

from __future__ import annotations

import ast
import functools
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

from ugro_tui.core.layout import node_layout

_HERE = Path(__file__).parent

NO_PYTHON = b"no python"
"""Stands behind the mark where no Python was found."""

# A system's own Python comes first: what is found by name may be a script that looks for a version first.
_PYTHONS = (
    "/usr/bin/python3 python3 /usr/local/bin/python3 /usr/libexec/platform-python python3.13 python3.12 python3.11 "
    "python3.10 python3.9 python3.8 python3.7 python3.6 /opt/conda/bin/python3 /opt/miniconda3/bin/python3 "
    "~/miniconda3/bin/python3 ~/anaconda3/bin/python3 ~/miniforge3/bin/python3 ~/.local/bin/python3 python"
)

# 9: too old; 1, 2: it cannot import what is needed, or does not know the options; 126, 127: no such program. What was
# started ends with 0, so that no other is tried with the rest of its input.
_LOOP = "case $? in 1|2|9|12[67]) ;; *) exit ;; esac"


def command(mark: str) -> str:
    """The line that starts `program` under any login shell: it holds neither single quotes nor what csh expands.

    `mark`: letters and digits that stand before each reply.
    """
    return f"exec sh -c 'exec 2>/dev/null; {_tries(len(program()), mark)}; echo {mark}{NO_PYTHON.decode()}'"


def argv_of(packed: bytes, mark: str) -> tuple[str, ...]:
    """The command that runs a `packed` program, which is to stand first on its standard input.

    `mark`, letters and digits, stands before its answer, as behind it NO_PYTHON where there is none.
    """
    return ("sh", "-c", f"exec 2>/dev/null; {_tries(len(packed), mark)}; echo {mark}{NO_PYTHON.decode()}")


def _tries(length: int, mark: str) -> str:
    start = (
        "import sys;sys.version_info>=(3,6)or sys.exit(9);import json,zlib;"
        f"exec(zlib.decompress(sys.stdin.buffer.read({length})))"
    )
    return f'for p in {_PYTHONS}; do "$p" -ISuc "{start}" {mark}; {_LOOP}; done'


_SERVES = "try:\n serve()\nfinally:\n os._exit(0)\n"

_building = threading.Lock()  # Python before 3.12 parses in one thread at a time (CPython issue 106905)


def program() -> bytes:
    """What the command reads first: the helper in one piece, without what only people read, compressed."""
    with _building:
        return _program()


@functools.cache
def _program() -> bytes:
    tail = f"try:\n serve({node_layout()!r},sys.argv[1].encode())\nfinally:\n os._exit(0)\n"
    return _packed(("helper_files", "helper_vitals", "helper", "helper_frame"), tail)


def evidence_program() -> bytes:
    """The program that a diagnosis runs on a node, packed for `argv_of`; see `helper_evidence`."""
    with _building:
        return _packed(("helper_files", "helper_proc", "helper_stacks", "helper_evidence"), _SERVES)


def launch_program() -> bytes:
    """The program that launches and ends jobs on a node, packed for `argv_of`; see `helper_launch`."""
    with _building:
        return _launch_program()


@functools.cache
def _launch_program() -> bytes:
    parts = ("helper_paths", "helper_proc", "helper_processes", "helper_scope", "helper_supervisor", "helper_records")
    return _packed((*parts, "helper_survey", "helper_unpack", "helper_job", "helper_launch"), _SERVES)


def clerk_program() -> bytes:
    """The program that answers about jobs of Slurm on a login node, packed for `argv_of`; see `helper_clerk`."""
    with _building:
        return _clerk_program()


@functools.cache
def _clerk_program() -> bytes:
    return _packed(("helper_batch", "helper_paths", "helper_records", "helper_unpack", "helper_clerk"), _SERVES)


def batch_program() -> str:
    """The program that the batch script of a job of Slurm runs, for people to read too; see `helper_batch`."""
    return f"{_source('helper_batch')}{_AS_PROGRAM}"


_AS_PROGRAM = """

if __name__ == "__main__":
    import sys

    told_by_script(sys.argv[1:])
"""


def health_part() -> str:
    """The part of the helper that is sent when the node's health is first asked for (`helper_frame.answered`)."""
    with _building:
        return _health_part()


@functools.cache
def _health_part() -> str:
    return _bare(("helper_gpus", "helper_health"))


def _packed(parts: Iterable[str], tail: str) -> bytes:
    """Modules of this room in one piece, compressed."""
    return zlib.compress(f"{_bare(parts)}\n{tail}".encode(), 9)


def _bare(parts: Iterable[str]) -> str:
    """Modules of this room in one piece, without what only people read."""
    tree = _Bare().visit(ast.parse("\n".join(map(_source, parts))))
    return ast.unparse(ast.fix_missing_locations(tree))


def _source(part: str) -> str:
    return (_HERE / f"{part}.py").read_text("utf-8")


class _Bare(ast.NodeTransformer):
    """Takes out docstrings and annotations: `typing` alone takes a third of a small program's start."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "typing" or str(node.module).startswith("ugro_tui.") else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return ast.Assign([node.target], node.value) if node.value else None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        named = node.value.value if isinstance(node.value, ast.Subscript) else None
        return None if isinstance(named, ast.Name) and named.id in ("Dict", "List", "Tuple") else node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        node.body = node.body or [ast.Pass()]
        return node
