"""Holds threads of a process until its input ends: python3 hold.py PROCESS NAME...

Those whose names begin so stop where they are, as if they had died, and all others go on (ptrace, Linux). Says how many
they are. When it ends, however it does, they go on.
"""

import ctypes
import os
import sys

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


process, *names = sys.argv[1:]
held = []
for thread in map(int, os.listdir(f"/proc/{process}/task")):
    with open(f"/proc/{process}/task/{thread}/comm") as name:
        is_meant = name.read().startswith(tuple(names))
    if is_meant:
        ptrace(SEIZE, thread)
        ptrace(INTERRUPT, thread)
        os.waitpid(thread, WALL)
        held.append(thread)
print(len(held), flush=True)
sys.stdin.read()
for thread in held:
    ptrace(DETACH, thread)
