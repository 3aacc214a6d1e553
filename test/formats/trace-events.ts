/** Declarations of trace events for tests: QEMU's own where they are installed, and made ones of every class. */
import { existsSync, readFileSync } from "node:fs";
import { decodeTraceDeclaration, type TraceDeclaration } from "../../src/formats/trace-declarations.ts";

const INSTALLED = "/usr/share/qemu/trace-events-all";

/** Undefined where QEMU is not installed. */
export const installedEvents: string | undefined = existsSync(INSTALLED) ? readFileSync(INSTALLED, "utf8") : undefined;

export function declared(line: string): TraceDeclaration {
  const declaration = decodeTraceDeclaration(line);
  if (typeof declaration === "string") throw new Error(`${declaration}: ${line}`);
  return declaration;
}

/** One of each class: no arguments, numbers, pointers, a string in each place, several, touching numbers, widths, line feeds, processors. */
export const CLASSES: readonly string[] = [
  'none(void) ""',
  'words_only(void) "nothing to say, 100%%"',
  'numbers(int a, unsigned b, int64_t c, uint64_t d, uint8_t e) "a %d b %u c %" PRId64 " d 0x%" PRIx64 " e 0x%02x"',
  'signed_hex(int a, int8_t b, int16_t c) "0x%x 0x%x 0x%x"',
  'pointers(void *p, const uint8_t *q) "p %p q=%p"',
  'string_last(void *s, const char *name) "%p %s"',
  'string_first(const char *name, int n) "%s: %d"',
  'string_within(uint16_t key, const char *name, int ret) "key 0x%04" PRIx16 " \'%s\', ret: %d"',
  'two_strings(int a, const char *one, int b, const char *two) "state %d (%s) new %d (%s)"',
  'touching_bytes(uint8_t a, uint8_t b) "0x%02x0x%02x %02x%02x"'.replace(" %02x%02x", ""),
  'touching_strings(const char *a, const char *b) "%s%s"',
  'string_touches_number(const char *a, int n) "%s%d"',
  'character(char c, unsigned value) "(%c) value %u"',
  'widths(int width, uint64_t value, int n, const char *s) "0x%0*" PRIx64 " %4d|%20s|"',
  'precision(uint32_t a, uint8_t b) "0x%.8x %2.2x"',
  'octal(unsigned mode, long l, unsigned long u, size_t z, ssize_t y) "%o %ld %lu %zu %zd"',
  'lines(uint32_t head, const char *text) "head 0x%.8x\\n  text %s"',
  'pointer_as_string(void *v, char **obj) "v=%p obj=%p"',
  'vcpu of_processor(uint64_t n) "n=%" PRIu64',
];
