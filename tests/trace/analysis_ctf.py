# SPDX-License-Identifier: MIT
"""Writes traces with chosen times, in the form of the recorder's files.

The idea to hold: a recording of the build's own without any event gives the metadata; events are
packed by what it says of them, so that a test writes what the recorder would have written at those
times. Times are nanoseconds of the clock, from any start.
"""

import os
import re
import struct
import subprocess

HEAD = struct.Struct('<I16sIQ')
CONTEXT = struct.Struct('<QQQQQQI16s')
PAGE = 4096
ENTRY = re.compile(r'event \{\s*name = "orrery_(\w+:\w+)";\s*id = (\d+);.*?fields := struct \{(.*?)\n'
                   r'\t\};\n\};', re.S)
FIELD = re.compile(r'(?P<enum>enum : )?(?:integer \{ size = (?P<size>\d+);.*?signed = (?P<signed>[01])'
                   r'.*?\}(?: \{ (?P<labels>.*?) \})?|(?P<string>string)) _(?P<name>\w+);')
CODES = {(8, '0'): 'B', (16, '0'): 'H', (32, '0'): 'I', (64, '0'): 'Q',
         (8, '1'): 'b', (16, '1'): 'h', (32, '1'): 'i', (64, '1'): 'q'}


def metadata_of(emit_all, directory, context=''):
    """The metadata of a recording by emit_all that has no event."""
    option = f'cpus:halt,backend=ctf,dir={directory},filter=cpu==0'
    if context:
        option += f',context={context}'
    subprocess.run([emit_all, option], check=True, capture_output=True, timeout=60)
    with open(os.path.join(directory, 'metadata'), encoding='ascii') as f:
        return f.read()


class Format:
    """What a metadata says of events: {'cpus:kick': (id, [(field, code or 's', labels)])}."""

    def __init__(self, metadata):
        self.metadata = metadata
        self.uuid = bytes.fromhex(re.search(r'uuid = "([-0-9a-f]+)"', metadata).group(1)
                                  .replace('-', ''))
        self.events = {}
        for name, number, body in ENTRY.findall(metadata):
            fields = []
            for m in FIELD.finditer(body):
                labels = dict(re.findall(r'"(\w+)" = (-?\d+)', m['labels'] or ''))
                code = 's' if m['string'] else CODES[int(m['size']), m['signed']]
                fields.append((m['name'], code, labels))
            self.events[name] = (int(number), fields)

    def with_pid(self, pid):
        """The same of another process."""
        return Format(re.sub(r'traced_pid = \d+', f'traced_pid = {pid}', self.metadata))

    def pack(self, time_ns, name, values):
        number, fields = self.events[name]
        out = struct.pack('<HI', number, time_ns & 0xffffffff)
        for field, code, labels in fields:
            value = values.pop(field, '' if code == 's' else 0)
            if code == 's':
                out += str(value).encode() + b'\0'
            else:
                out += struct.pack('<' + code, int(labels.get(value, value)))
        if values:
            raise KeyError(f'{name} has no field {list(values)}')
        return out


class Thread:
    def __init__(self, trace, tid, name):
        self.trace, self.tid, self.name = trace, tid, name
        self.events = []  # (time, bytes) or (None, number of lost events)
        self.packets = []

    def event(self, time_ns, name, /, *context, **values):
        """`context` are the values of the events' context, where the trace has one."""
        data = self.trace.format.pack(time_ns, name, values)
        data = data[:6] + b''.join(struct.pack('<q', c) for c in context) + data[6:]
        self.events.append((time_ns, data))
        return self

    def lose(self, count):
        """Events are lost between those before and those after."""
        self.events.append((None, count))
        return self

    def data(self, per_packet):
        """The file: as many events a packet, and a new one after a loss."""
        out, chunk, lost, number = b'', [], 0, 0

        def flush():
            nonlocal out, chunk, number
            if chunk:
                content = b''.join(data for _, data in chunk)
                used = HEAD.size + CONTEXT.size + len(content)
                size = -(-used // PAGE) * PAGE
                out += HEAD.pack(0xc1fc1fc1, self.trace.format.uuid, 0, self.tid)
                out += CONTEXT.pack(chunk[0][0], chunk[-1][0], used * 8, size * 8, number, lost,
                                    self.tid, self.name.encode())
                out += content + bytes(size - used)
                number += 1
                chunk = []

        for time_ns, data in self.events:
            if time_ns is None:
                flush()
                lost += data
                continue
            chunk.append((time_ns, data))
            if len(chunk) == per_packet:
                flush()
        flush()
        return out


class Trace:
    def __init__(self, form, directory):
        self.format, self.directory = form, directory
        self.threads = []

    def thread(self, tid, name):
        self.threads.append(Thread(self, tid, name))
        return self.threads[-1]

    def vcpu(self, cpu):
        return self.thread(1000 + cpu, f'CPU {cpu}/interp')

    def write(self, per_packet=50):
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, 'metadata'), 'w', encoding='ascii') as f:
            f.write(self.format.metadata)
        for thread in self.threads:
            with open(os.path.join(self.directory, f'thread_{thread.tid}'), 'wb') as f:
                f.write(thread.data(per_packet))
        return self.directory
