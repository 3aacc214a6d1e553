"""
A second reader of traces, for the tests: version 4 alone, the declarations taken from a file as QEMU's scripts take them, and as strict as they are
(an event that is not declared, a mapping that is missing or a short record end it). Prints a line an event: name, microseconds since the one before,
process, arguments as hexadecimal numbers or strings. Written from the format, not from QEMU's reader.
"""
import re
import struct
import sys

MAGIC = 0xF2B177CB0AA429B4
DROPPED = 0xFFFFFFFFFFFFFFFE
DECLARATION = re.compile(r'^(?:disable\s+)?(\w+)\(([^)]*)\)\s*(".*)?$')


def declarations(path):
    events = {"dropped": [("uint64_t", "num_events_dropped")]}
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                raise ValueError(f"{path}:{number} has no end")
            if not line.strip() or line.startswith("#"):
                continue
            found = DECLARATION.match(line)
            if found is None:
                raise ValueError(f"{path}:{number}: {line!r}")
            name, listed, _ = found.groups()
            arguments = []
            for argument in listed.split(","):
                argument = argument.strip()
                if argument in ("", "void"):
                    continue
                kind, _, word = argument.rpartition("*") if "*" in argument else argument.rpartition(" ")
                arguments.append((kind.strip() + ("*" if "*" in argument else ""), word.strip()))
            if len(arguments) > 10:
                raise ValueError(f"{name} has {len(arguments)} arguments")
            events[name] = arguments
    return events


def is_string(kind):
    return kind.startswith(("const char*", "char*", "const char *", "char *"))


def exactly(trace, count):
    data = trace.read(count)
    if len(data) != count:
        raise EOFError(f"{count} bytes wanted, {len(data)} found")
    return data


def main(events_path, trace_path):
    events = declarations(events_path)
    names = {DROPPED: "dropped"}
    last = None
    with open(trace_path, "rb") as trace:
        start, magic, version = struct.unpack("=QQQ", exactly(trace, 24))
        if start != 0xFFFFFFFFFFFFFFFF or magic != MAGIC or version != 4:
            raise ValueError("not a trace of version 4")
        while True:
            head = trace.read(8)
            if not head:
                return
            (kind,) = struct.unpack("=Q", head)
            if kind == 0:
                event, length = struct.unpack("=QL", exactly(trace, 12))
                names[event] = exactly(trace, length).decode()
                continue
            event, time, length, process = struct.unpack("=QQII", exactly(trace, 24))
            name = names[event]
            last = time if last is None else last
            fields = [name, "%0.3f" % ((time - last) / 1000.0), "pid=%d" % process]
            last = time
            used = 24
            for kind, word in events[name]:
                if is_string(kind):
                    (size,) = struct.unpack("=L", exactly(trace, 4))
                    fields.append("%s=%s" % (word, exactly(trace, size)))
                    used += 4 + size
                else:
                    (value,) = struct.unpack("=Q", exactly(trace, 8))
                    fields.append("%s=0x%x" % (word, value))
                    used += 8
            if used != length:
                raise ValueError(f"{name}: length {length}, and {used} bytes are declared")
            print(" ".join(fields))


main(sys.argv[1], sys.argv[2])
