"""`python -I -m pyinit`: pyinit without its launcher."""

import sys

from pyinit.boot import main

del sys.argv[0]
main()
