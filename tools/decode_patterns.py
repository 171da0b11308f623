# SPDX-License-Identifier: MIT
#
# Reads instruction pattern files (*.decode) and checks them; tools/gen-decode writes what they say
# as C. The idea to hold: a pattern's fixed bits are a cube (mask, value), and overlaps and gaps are
# computed on cubes exactly, so a file that loads describes its whole encoding space once.
# The language is described in docs/decode.md.

import re

MEMBERS = ("rd", "rs1", "rs2", "rs3", "rm", "imm")
# Operand kinds of `format` lines: what the disassembler prints, and the flags they imply.
OPERANDS = {
    "rd": ("RD", "rd", "WRITES_X"), "rs1": ("RS1", "rs1", "READS_X1"),
    "rs2": ("RS2", "rs2", "READS_X2"), "fd": ("FD", "rd", "WRITES_F"),
    "fs1": ("FS1", "rs1", "READS_F1"), "fs2": ("FS2", "rs2", "READS_F2"),
    "fs3": ("FS3", "rs3", "READS_F3"), "rm": ("RM", "rm", "ROUNDS"),
    "rmx": ("RMX", "rm", "ROUNDS"),
    "imm": ("IMM", "imm", None), "nzimm": ("NZIMM", "imm", None),
    "shamt": ("SHAMT", "imm", None), "upper": ("UPPER", "imm", None),
    "target": ("TARGET", "imm", None), "csr": ("CSR", "imm", None),
    "zimm": ("ZIMM", "rs1", None), "mem": ("MEM", "rs1 imm", "READS_X1"),
    "base": ("BASE", "rs1", "READS_X1"), "pred": ("PRED", "imm", None),
    "succ": ("SUCC", "imm", None),
}
MAX_OPERANDS = 5
# Properties of patterns and the comment their flag gets in the header.
PROPERTIES = {
    "branch": ("BRANCH", "conditional branch to pc + imm"),
    "jump": ("JUMP", "always leaves the sequence (jal, jalr, mret, sret)"),
    "end": ("END_BLOCK", "nothing after it may be assumed: ends a translation block"),
    "load": ("LOAD", "reads memory"),
    "store": ("STORE", "writes memory, or needs write-like permission checks (cbo.*)"),
    "trap": ("TRAP", "may raise an exception other than illegal instruction by FP state"),
    "priv": ("PRIV", "legality or meaning depends on the privilege mode or its CSRs"),
    "fp": ("FP", "needs mstatus.FS other than Off"),
    "csr": ("CSR", "reads or writes the CSR numbered imm"),
    "aqrl": ("AQRL", "rm holds aq << 1 | rl"),
    "hint": ("HINT", "architecturally does nothing"),
}
IMPLIED = (
    ("ROUNDS", "rm holds the rounding mode, 0 to 4 or 7 (dynamic)"),
    ("WRITES_X", "rd is an integer register"), ("READS_X1", "rs1 is an integer register"),
    ("READS_X2", "rs2 is an integer register"), ("WRITES_F", "rd is an FP register"),
    ("READS_F1", "rs1 is an FP register"), ("READS_F2", "rs2 is an FP register"),
    ("READS_F3", "rs3 is an FP register"),
)
GAP_KINDS = ("reserved", "custom", "longer", "unsupported")


class DecodeError(Exception):
    """A mistake in a pattern file: where, and what."""

    def __init__(self, where, text):
        super().__init__("%s: error: %s" % (where, text))


def cube_text(cube, width):
    mask, value = cube
    return "".join("." if not mask >> b & 1 else "01"[value >> b & 1]
                   for b in range(width - 1, -1, -1))


def cube_meets(a, b):
    return (a[1] ^ b[1]) & a[0] & b[0] == 0


def cube_within(a, b):
    return b[0] & ~a[0] == 0 and (a[1] ^ b[1]) & b[0] == 0


def cube_minus(a, b, width):
    """What is left of cube a without cube b: a list of disjoint cubes."""
    if not cube_meets(a, b):
        return [a]
    rest = []
    mask, value = a
    for bit in range(width):
        one = 1 << bit
        if b[0] & one and not mask & one:
            rest.append((mask | one, value | (~b[1] & one)))
            mask |= one
            value |= b[1] & one
    return rest


def cubes_minus(cubes, b, width):
    return [part for cube in cubes for part in cube_minus(cube, b, width)]


class Field:
    """A run of bits in a layout; `pieces` maps its bits to the immediate's, if it is one."""

    def __init__(self, name, lsb, width, bits=None):
        self.name, self.lsb, self.width, self.bits = name, lsb, width, bits

    def get(self):
        return "((i >> %d) & 0x%x)" % (self.lsb, (1 << self.width) - 1)


class Layout:
    def __init__(self, where, name, width):
        self.where, self.name, self.width = where, name, width
        self.fields = []
        self.imm = []            # immediate pieces, most significant first
        self.signed = False
        self.sets = {}           # member -> C expression of the instruction word `i`
        self.used = set()        # names of fields that feed a member
        self.conditions = []

    def field(self, name):
        return next((f for f in self.fields if f.name == name), None)


class Format:
    def __init__(self, where, name, layout, operands):
        self.where, self.name, self.layout, self.operands = where, name, layout, operands

    def members(self):
        return {m for o in self.operands for m in OPERANDS[o][1].split()}


class Pattern:
    def __init__(self, where, name, fmt):
        self.where, self.name, self.format = where, name, fmt
        self.cube = (0, 0)
        self.exts = []
        self.props = []
        self.mem = 0
        self.conditions = []
        self.expands = None
        self.group = None
        self.special = False
        self.index = 0

    def c_name(self):
        return self.name.upper().replace(".", "_")


class Spec:
    """All pattern files together. Names are shared, widths and spaces are per file."""

    def __init__(self):
        self.exts = {}           # name -> description, in bit order
        self.aliases = {}
        self.widths = {}         # field name -> width
        self.layouts = {}
        self.formats = {}
        self.majors = {}         # name -> (where, assignments, cube, instruction width)
        self.gaps = []           # (where, cube or None, major or None, kind, width)
        self.patterns = []
        self.names = {}
        self.files = []          # (path, width, space cubes)
        self.csrs = {}           # number -> name


class Parser:
    def __init__(self, spec, path):
        self.spec, self.path, self.line = spec, path, 0
        self.width = 0
        self.space = []
        self.group = None
        self.groups = 0
        self.group_line = 0

    def where(self):
        return "%s:%d" % (self.path, self.line)

    def fail(self, text, *args):
        raise DecodeError(self.where(), text % args if args else text)

    def run(self, text):
        for number, raw in enumerate(text.splitlines(), 1):
            self.line = number
            line = re.sub(r'(^|\s)#.*$', "", raw).strip()
            if not line:
                continue
            word, _, rest = line.partition(" ")
            handler = getattr(self, "do_" + word, None)
            if handler:
                handler(rest.strip())
            elif not self.width:
                self.fail("the file must begin with `width 32` or `width 16`")
            elif word == "special":
                if self.group is None:
                    self.fail("`special` pattern outside a group")
                self.pattern(rest.strip(), True)
            else:
                self.pattern(line, False)
        if self.group is not None:
            self.line = self.group_line
            self.fail("group without `end`")
        if not self.width or not self.space:
            self.line = 1
            self.fail("the file declares no `width` or no `space`")
        self.spec.files.append((self.path, self.width, self.space))

    # --- declarations ---

    def do_width(self, rest):
        if rest not in ("16", "32"):
            self.fail("width must be 16 or 32, not `%s`", rest)
        self.width = int(rest)

    def do_space(self, rest):
        for bits in rest.split():
            if not re.fullmatch("[01]+", bits):
                self.fail("space `%s` is not a string of low bits", bits)
            self.space.append(((1 << len(bits)) - 1, int(bits, 2)))

    def do_extension(self, rest):
        match = re.fullmatch(r'([A-Z][A-Z0-9]*)\s+"([^"]+)"', rest)
        if not match:
            self.fail('expected: extension NAME "description"')
        if match.group(1) in self.spec.exts or match.group(1) in self.spec.aliases:
            self.fail("extension %s is declared twice", match.group(1))
        if len(self.spec.exts) == 64:
            self.fail("more than 64 extensions")
        self.spec.exts[match.group(1)] = match.group(2)

    def do_alias(self, rest):
        name, equals, parts = rest.partition("=")
        name = name.strip()
        if not equals or not parts.split():
            self.fail("expected: alias NAME = EXTENSION...")
        if name in self.spec.exts or name in self.spec.aliases:
            self.fail("extension %s is declared twice", name)
        self.spec.aliases[name] = self.extensions(parts.split())

    def do_field(self, rest):
        words = rest.split()
        if len(words) != 2 or not words[1].isdigit() or not 0 < int(words[1]) <= 32:
            self.fail("expected: field NAME WIDTH")
        if words[0] in self.spec.widths:
            self.fail("field %s is declared twice", words[0])
        self.spec.widths[words[0]] = int(words[1])

    def do_layout(self, rest):
        spec_text, _, extra = rest.partition(" | ")
        words = spec_text.split()
        if not words:
            self.fail("expected: layout NAME FIELD...")
        if words[0] in self.spec.layouts:
            self.fail("layout %s is declared twice", words[0])
        layout = Layout(self.where(), words[0], self.width)
        top = self.width
        for token in words[1:]:
            field = self.layout_token(layout, token, top)
            top = field.lsb
            layout.fields.append(field)
        if top != 0:
            self.fail("layout %s is %d bits wide, not %d", layout.name, self.width - top,
                      self.width)
        self.layout_immediate(layout)
        for member in ("rd", "rs1", "rs2", "rs3", "rm"):
            if layout.field(member):
                layout.sets[member] = layout.field(member).get()
                layout.used.add(member)
        self.layout_extra(layout, extra.split())
        self.spec.layouts[layout.name] = layout

    def layout_token(self, layout, token, top):
        match = re.fullmatch(r"(simm|uimm)\[([0-9:|]+)\]", token)
        if match:
            bits = []
            for part in match.group(2).split("|"):
                ends = part.split(":")
                if len(ends) > 2 or not all(e.isdigit() and int(e) < 32 for e in ends):
                    self.fail("bad bit list in `%s`", token)
                high, low = int(ends[0]), int(ends[-1])
                if high < low:
                    self.fail("bits of `%s` must be given high to low", token)
                bits += range(high, low - 1, -1)
            width = len(bits)
            layout.signed |= match.group(1) == "simm"
            field = Field(token, top - width, width, bits)
            layout.imm.append(field)
        else:
            if token not in self.spec.widths:
                self.fail("unknown field `%s` in layout %s", token, layout.name)
            if layout.field(token):
                self.fail("field %s occurs twice in layout %s", token, layout.name)
            width = self.spec.widths[token]
            field = Field(token, top - width, width)
        if field.lsb < 0:
            self.fail("layout %s is wider than %d bits at field %s", layout.name, self.width,
                      token)
        return field

    def layout_immediate(self, layout):
        pieces = []              # (instruction lsb, immediate lsb, width)
        seen = set()
        for field in layout.imm:
            for k, bit in enumerate(field.bits):
                if bit in seen:
                    self.fail("immediate bit %d occurs twice in layout %s", bit, layout.name)
                seen.add(bit)
                at = field.lsb + field.width - 1 - k
                if pieces and pieces[-1][0] == at + 1 and pieces[-1][1] == bit + 1:
                    pieces[-1] = (at, bit, pieces[-1][2] + 1)
                else:
                    pieces.append((at, bit, 1))
        if not pieces:
            return
        if seen != set(range(min(seen), max(seen) + 1)):
            self.fail("immediate of layout %s has holes", layout.name)
        terms = []
        for at, bit, width in pieces:
            term = "((i >> %d) & 0x%x)" % (at, (1 << width) - 1)
            terms.append("%s << %d" % (term, bit) if bit else term)
        text = " | ".join(terms)
        if layout.signed:
            text = "sign_extend(%s, %d)" % (text, max(seen) + 1)
        layout.sets["imm"] = text

    def layout_extra(self, layout, items):
        for item in items:
            if "!=" in item:
                layout.conditions.append(self.condition(layout, item))
                continue
            member, equals, source = item.partition("=")
            if not equals or member not in MEMBERS:
                self.fail("`%s`: expected MEMBER=SOURCE with a member of RvInsn (%s)", item,
                          ", ".join(MEMBERS))
            if member in layout.sets:
                self.fail("layout %s sets %s twice", layout.name, member)
            if source.isdigit():
                layout.sets[member] = source
                continue
            base, _, plus = source.partition("+")
            text = ""
            for name in base.split(","):
                field = layout.field(name)
                if not field:
                    self.fail("unknown field `%s` in layout %s", name, layout.name)
                layout.used.add(name)
                text = "(%s << %d | %s)" % (text, field.width, field.get()) if text \
                    else field.get()
            if plus:
                if not plus.isdigit():
                    self.fail("`%s`: offset is not a number", item)
                text += " + " + plus
            layout.sets[member] = text

    def condition(self, layout, item):
        member, _, values = item.partition("!=")
        if member not in layout.sets:
            self.fail("condition `%s`: layout %s does not set %s", item, layout.name, member)
        if not all(v.isdigit() for v in values.split(",")):
            self.fail("condition `%s`: values must be numbers", item)
        return (member, [int(v) for v in values.split(",")])

    def do_format(self, rest):
        words = rest.split()
        if len(words) not in (2, 3):
            self.fail("expected: format NAME LAYOUT [OPERAND,...]")
        name, layout_name = words[:2]
        if name in self.spec.formats:
            self.fail("format %s is declared twice", name)
        layout = self.spec.layouts.get(layout_name)
        if not layout:
            self.fail("format %s: unknown layout `%s`", name, layout_name)
        if layout.width != self.width:
            self.fail("format %s: layout %s is %d bits wide", name, layout_name, layout.width)
        operands = words[2].split(",") if len(words) == 3 else []
        if len(operands) > MAX_OPERANDS:
            self.fail("format %s has more than %d operands", name, MAX_OPERANDS)
        for operand in operands:
            if operand not in OPERANDS:
                self.fail("format %s: unknown operand `%s`", name, operand)
            for member in OPERANDS[operand][1].split():
                if member not in layout.sets:
                    self.fail("format %s: operand %s needs %s, which layout %s does not set",
                              name, operand, member, layout_name)
        self.spec.formats[name] = Format(self.where(), name, layout, operands)

    def do_major(self, rest):
        words = rest.split()
        if len(words) < 2:
            self.fail("expected: major NAME FIELD=BITS...")
        if words[0] in self.spec.majors:
            self.fail("major opcode %s is declared twice", words[0])
        layout = self.layout_with([w.partition("=")[0] for w in words[1:]])
        cube = self.assign(layout, words[1:], (0, 0))
        for name, (where, other, width) in self.spec.majors.items():
            if width == self.width and cube_meets(cube, other):
                self.fail("major opcode %s overlaps %s (%s)", words[0], name, where)
        self.spec.majors[words[0]] = (self.where(), cube, self.width)

    def layout_with(self, names):
        for layout in self.spec.layouts.values():
            if layout.width == self.width and all(layout.field(n) for n in names):
                return layout
        self.fail("unknown field in `%s`: no layout has it", " ".join(names))

    def do_gap(self, rest):
        body, colon, kind = rest.partition(" : ")
        kind = kind.strip()
        words = body.split()
        if not colon or kind not in GAP_KINDS:
            self.fail("a gap ends in `: KIND`, one of %s", ", ".join(GAP_KINDS))
        if len(words) == 2 and words[0] == "rest":
            if words[1] not in self.spec.majors:
                self.fail("unknown major opcode `%s`", words[1])
            self.spec.gaps.append((self.where(), None, words[1], kind, self.width))
            return
        if len(words) < 2 or words[0] not in self.spec.layouts:
            self.fail("expected: gap rest MAJOR : KIND, or gap LAYOUT FIELD=BITS... : KIND")
        cube = self.assign(self.spec.layouts[words[0]], words[1:], (0, 0))
        self.spec.gaps.append((self.where(), cube, None, kind, self.width))

    def do_csr(self, rest):
        match = re.fullmatch(r"(0x[0-9a-f]{3})\s+([a-z]+)(\d*)(?:\s+(\d+))?", rest)
        if not match or match.group(4) and not match.group(3):
            self.fail("expected: csr 0xNNN NAME, or csr 0xNNN NAME0 COUNT")
        number, stem, first = int(match.group(1), 16), match.group(2), match.group(3)
        for k in range(int(match.group(4) or 1)):
            name = stem + str(int(first) + k) if first else stem
            if number + k > 0xfff or number + k in self.spec.csrs or \
                    name in self.spec.csrs.values():
                self.fail("CSR 0x%03x %s: number or name is taken or out of range", number + k,
                          name)
            self.spec.csrs[number + k] = name

    def do_group(self, rest):
        if rest or self.group is not None:
            self.fail("`group` stands alone on its line and does not nest")
        self.groups += 1
        self.group = (self.path, self.groups)
        self.group_line = self.line

    def do_end(self, rest):
        if rest or self.group is None:
            self.fail("`end` without group")
        self.group = None

    # --- patterns ---

    def extensions(self, names):
        result = []
        for name in names:
            if name in self.spec.aliases:
                result += self.spec.aliases[name]
            elif name in self.spec.exts:
                result.append(name)
            else:
                self.fail("unknown extension `%s`", name)
        return result

    def assign(self, layout, words, cube):
        mask, value = cube
        for word in words:
            name, equals, bits = word.partition("=")
            if not equals:
                self.fail("`%s`: expected FIELD=BITS", word)
            field = layout.field(name)
            if not field:
                known = "" if name in self.spec.widths else "unknown "
                self.fail("%sfield `%s` is not in layout %s", known, name, layout.name)
            if bits in self.spec.majors:
                major = self.spec.majors[bits][1]
                bits = "".join("." if not major[0] >> b & 1 else "01"[major[1] >> b & 1]
                               for b in range(field.lsb + field.width - 1, field.lsb - 1, -1))
            if not re.fullmatch("[01.]+", bits):
                self.fail("`%s`: neither bits nor a major opcode", word)
            if len(bits) != field.width:
                self.fail("`%s`: fixed bits outside the mask: field %s has %d bits, not %d",
                          word, name, field.width, len(bits))
            for k, char in enumerate(bits):
                bit = 1 << (field.lsb + field.width - 1 - k)
                if char != "." and mask & bit:
                    self.fail("`%s`: field %s is fixed twice", word, name)
                if char != ".":
                    mask |= bit
                    value |= bit if char == "1" else 0
        return mask, value

    def pattern(self, line, special):
        sections = [s.strip() for s in line.split(" : ")]
        words = sections[0].split()
        if len(words) < 3 or len(sections) not in (2, 3):
            self.fail("`%s`: neither a keyword nor MNEMONIC FORMAT FIELD=BITS... : EXTENSION...",
                      words[0] if words else line)
        name = words[0]
        if not re.fullmatch(r"[a-z][a-z0-9.]*", name):
            self.fail("bad mnemonic `%s`", name)
        if name in self.spec.names:
            self.fail("duplicate mnemonic %s (first at %s)", name, self.spec.names[name].where)
        fmt = self.spec.formats.get(words[1])
        if not fmt:
            self.fail("%s: unknown format `%s`", name, words[1])
        layout = fmt.layout
        if layout.width != self.width:
            self.fail("%s: format %s is %d bits wide", name, fmt.name, layout.width)
        pattern = Pattern(self.where(), name, fmt)
        pattern.cube = self.assign(layout, words[2:], (0, 0))
        for field in layout.fields:
            bits = ((1 << field.width) - 1) << field.lsb
            if not field.bits and field.name not in layout.used and bits & ~pattern.cube[0]:
                self.fail("%s: field %s selects the instruction, but is not fixed", name,
                          field.name)
        if not any(cube_within(pattern.cube, c) for c in self.space):
            self.fail("%s lies outside this file's space", name)
        if not any(w == self.width and cube_within(pattern.cube, c)
                   for _, c, w in self.spec.majors.values()):
            self.fail("%s lies in no declared major opcode", name)
        pattern.exts = self.extensions(sections[1].split())
        if not pattern.exts:
            self.fail("%s names no extension", name)
        pattern.conditions = list(layout.conditions)
        self.properties(pattern, sections[2].split() if len(sections) == 3 else [])
        pattern.group, pattern.special = self.group, special
        self.spec.patterns.append(pattern)
        self.spec.names[name] = pattern

    def properties(self, pattern, words):
        while words:
            word = words.pop(0)
            if word == "=>":
                target = self.spec.names.get(words.pop(0) if words else "")
                if not target or target.expands or target.format.layout.width != 32:
                    self.fail("%s: `=>` needs an earlier 32-bit instruction", pattern.name)
                pattern.expands = target
            elif "!=" in word:
                pattern.conditions.append(self.condition(pattern.format.layout, word))
            elif word.startswith("mem="):
                if word[4:] not in ("1", "2", "4", "8"):
                    self.fail("%s: access size `%s` is not 1, 2, 4 or 8", pattern.name, word)
                pattern.mem = int(word[4:])
            elif word in PROPERTIES:
                pattern.props.append(word)
            else:
                self.fail("%s: unknown property `%s`", pattern.name, word)
        if self.width == 16:
            if not pattern.expands:
                self.fail("%s: a 16-bit pattern needs `=> INSTRUCTION`", pattern.name)
            needs = pattern.expands.format.members()
            for member in sorted(needs - set(pattern.format.layout.sets)):
                self.fail("%s: %s needs %s, which layout %s does not set", pattern.name,
                          pattern.expands.name, member, pattern.format.layout.name)
            if pattern.props or pattern.mem:
                self.fail("%s: properties come from %s", pattern.name, pattern.expands.name)
            pattern.exts = pattern.exts + [e for e in pattern.expands.exts
                                           if e not in pattern.exts and e != "I"]
        elif pattern.expands:
            self.fail("%s: only a 16-bit pattern expands to another", pattern.name)


# --- checks over all patterns ---------------------------------------------------------------

def check_overlaps(spec):
    for k, b in enumerate(spec.patterns):
        for a in spec.patterns[:k]:
            if a.format.layout.width != b.format.layout.width or not cube_meets(a.cube, b.cube):
                continue
            same = a.group is not None and a.group == b.group
            if same and a.special and a.cube != b.cube and cube_within(a.cube, b.cube):
                continue
            both = (a.cube[0] | b.cube[0], a.cube[1] | b.cube[1])
            why = "a `special` pattern must be narrower than what follows it" if same and \
                a.special else "no group declares one a special case of the other"
            raise DecodeError(b.where, "%s overlaps %s (%s) at %s: %s" % (
                b.name, a.name, a.where, cube_text(both, a.format.layout.width), why))
    for k, a in enumerate(spec.patterns):
        if a.special and not any(b.group == a.group and cube_within(a.cube, b.cube)
                                 for b in spec.patterns[k + 1:]):
            raise DecodeError(a.where, "special pattern %s is a case of no later pattern of its "
                              "group" % a.name)


def check_majors(spec):
    for path, width, space in spec.files:
        left = list(space)
        for where, cube, major_width in spec.majors.values():
            if major_width == width:
                if not any(cube_within(cube, s) for s in space):
                    raise DecodeError(where, "major opcode lies outside the file's space")
                left = cubes_minus(left, cube, width)
        if left:
            raise DecodeError("%s:1" % path, "undeclared major opcode: %s" %
                              cube_text(left[0], width))


def check_gaps(spec):
    used = set()
    for name, (where, cube, width) in spec.majors.items():
        left = [cube]
        for pattern in spec.patterns:
            if pattern.format.layout.width == width:
                left = cubes_minus(left, pattern.cube, width)
        rest = None
        for gap in spec.gaps:
            gap_where, gap_cube, gap_major, _, gap_width = gap
            if gap_width != width:
                continue
            if gap_major == name:
                if rest:
                    raise DecodeError(gap_where, "second `gap rest %s` (first at %s)" %
                                      (name, rest[0]))
                rest = gap
            elif gap_cube and cube_meets(gap_cube, cube):
                used.add(gap_where)
                if not any(cube_meets(gap_cube, part) for part in left):
                    clash = next((p for p in spec.patterns if p.format.layout.width == width
                                  and cube_meets(p.cube, gap_cube)), None)
                    raise DecodeError(gap_where, "gap covers nothing that is free%s" % (
                        ": %s (%s) is there" % (clash.name, clash.where) if clash else ""))
                for pattern in spec.patterns:
                    if pattern.format.layout.width == width and \
                            cube_meets(pattern.cube, gap_cube):
                        raise DecodeError(gap_where, "gap overlaps pattern %s (%s)" %
                                          (pattern.name, pattern.where))
                left = cubes_minus(left, gap_cube, width)
        if rest:
            if not left:
                raise DecodeError(rest[0], "`gap rest %s`: nothing is left there" % name)
        elif left:
            raise DecodeError(where, "undeclared gap in major opcode %s: %s matches no pattern "
                              "and no `gap` line" % (name, cube_text(left[0], width)))
    for gap_where, gap_cube, _, _, _ in spec.gaps:
        if gap_cube and gap_where not in used:
            raise DecodeError(gap_where, "gap lies in no declared major opcode")


def load(paths):
    spec = Spec()
    for path in paths:
        with open(path, encoding="utf-8") as stream:
            Parser(spec, path).run(stream.read())
    check_overlaps(spec)
    check_majors(spec)
    check_gaps(spec)
    long_forms = [p for p in spec.patterns if not p.expands]
    for index, pattern in enumerate(long_forms + [p for p in spec.patterns if p.expands], 1):
        pattern.index = index
    return spec
