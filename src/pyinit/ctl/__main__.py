"""`python -I -m pyinit.ctl`: pyinitctl without its launcher."""

import sys

from pyinit.ctl.main import run

run(sys.argv[1:])
