"""Say what is missing before the environment is made; exits 1 with one sentence per missing thing.

Does not install anything. Runs on any Python 3, so that an old one gets the sentence and not a syntax error.
"""

import sys

problems = []
if sys.version_info < (3, 11):
    problems.append("Python 3.11 or later is needed; choose one with `make PYTHON=python3.12 ...`")
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    problems.append("the venv module is missing; on Debian: apt-get install python3-venv")
if problems:
    sys.exit("\n".join(problems))
