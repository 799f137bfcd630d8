"""Holds every compiled module of an installed cyconv to the instructions of its level: python levels.py [FOLDER OF cyconv]

An instruction that a processor lacks ends the process (SIGILL), and only on that processor, which nobody who builds has. So this
reads the disassembly (objdump, of binutils) of every module: those in cyconv/cpu/v3 and v4 may hold what x86-64-v3 and v4 add, all others x86-64-v2
alone. Encodings tell most: AVX and its successors begin with C4 or C5, AVX-512's own with 62, which nothing else does in 64-bit code.
Other extensions are told by their mnemonics. Exit status 1 and a line for each stranger if there are any.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

# What no level has; some are in processors of every level, and GCC emits none of them for `-march=x86-64-v…`.
NO_LEVELS = r"v?aes\w+|v?pclmul\w+|v?gf2p8\w+|sha(1|256)\w+|adcx|adox|rdrand|rdseed|xsave\w*|xrstor\w*|clwb|vpdp\w+|vp(erm|ermi2|ermt2)b|vpmultishift\w+"
NO_LEVELS += r"|vpmadd52\w+|vcvtne\w*bf16|vdpbf16ps|v\w+ph|v\w+sh|vpopcnt[bwdq]|vpshufbitqmb|vp(compress|expand)[bw]|vpsh[lr]dv?[wdq]|vp2intersect\w+|[vf]\w+4ps"
# AVX-512 has more of these two endings than half precision has.
HALF_LOOKALIKES = r"vcvtph2ps|vcvtps2ph|vpsh\w+"
NEWER = {"v2": r"lzcnt|movbe", "v3": r"(?!)", "v4": r"(?!)"}  # with no encoding of their own; tzcnt is bsf where it is not known, and GCC uses it so
NOT_BEFORE = {"v2": ("c4", "c5", "62"), "v3": ("62",), "v4": ()}
REGISTERS = {"v2": r"%[yz]mm|%k[0-7]", "v3": r"%zmm|%k[0-7]|%[xy]mm(1[6-9]|2\d|3[01])", "v4": r"(?!)"}


def instructions(module):
    """(bytes, mnemonic, operands) of each instruction of a shared library."""
    text = subprocess.run(["objdump", "-d", "-w", str(module)], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 3:
            mnemonic, _, operands = fields[2].partition(" ")
            yield fields[1].split(), mnemonic, operands


def level_of(module):
    return module.parent.name if module.parent.name in NOT_BEFORE else "v2"


def strangers(module):
    """The instructions of a module that its level lacks, and how many it has at all."""
    level = level_of(module)
    unknown = re.compile(rf"({NO_LEVELS}|{NEWER[level]})$")
    found, count = Counter(), 0
    for encoded, mnemonic, operands in instructions(module):
        count += 1
        named = unknown.match(mnemonic) and not re.match(HALF_LOOKALIKES, mnemonic)
        if named or encoded[0] in NOT_BEFORE[level] or re.search(REGISTERS[level], operands):
            found[mnemonic] += 1
    return found, count


def main(folder):
    modules = sorted(Path(folder).rglob("*.so"))
    if not modules:
        sys.exit(f"{folder} holds no compiled modules")
    wrong, total = 0, Counter()
    for module in modules:
        found, count = strangers(module)
        total[level_of(module)] += count
        for mnemonic, times in found.items():
            print(f"{module.relative_to(folder)} is of level {level_of(module)} and holds {mnemonic} ({times} times)")
            wrong += 1
    print(f"{len(modules)} modules:", ", ".join(f"{count:,} instructions of {level}" for level, count in sorted(total.items())))
    print("none is of a level above its module's" if not wrong else f"{wrong} kinds are of a level above their module's")
    return wrong > 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(sys.argv[1]))
    import cyconv

    sys.exit(main(Path(cyconv.__file__).parent))
