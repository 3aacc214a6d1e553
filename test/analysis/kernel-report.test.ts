/** What is gathered from the many lines of one report of the kernel, whatever the processor. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { analyseConsole } from "../../src/analysis/analyse.ts";
import { KernelReportReader } from "../../src/analysis/kernel-report.ts";

function gathered(text: string) {
  const reader = new KernelReportReader();
  for (const line of text.split("\n")) reader.read(line);
  return reader.report;
}

/** The recorded boots in which a running kernel was sent to address 16: each tells who called. */
const JUMPS = {
  "linux-arm64-oops": ["read_zero", "vfs_read"],
  "linux-armhf-oops": ["read_zero"],
  "linux-mipsel-oops": ["read_zero", "security_file_permission"],
  "linux-ppc64el-oops": ["read_zero", "vfs_read"],
  "linux-riscv64-oops": ["__splice_from_pipe"],
  "linux-s390x-oops": ["ksys_write", "__do_syscall"],
  "linux-7.2-oops": ["iov_iter_zero", "alloc_pages_bulk_noprof"],
};

describe("a kernel that jumped into nothing", () => {
  test.each(Object.entries(JUMPS))("%s", async (name, calls) => {
    const archive = await readFile(fileURLToPath(new URL(`golden/${name}/serial.log.gz`, import.meta.url)));
    const { report } = await analyseConsole([gunzipSync(archive)]);
    const cause = report.findings.find((finding) => finding.cause);
    expect(cause?.kind).toBe("oops");
    expect(report.findings.filter(({ kind }) => kind === "oops")).toHaveLength(1);
    expect(cause?.report).toMatchObject({ function: null, process: "busybox" });
    expect(cause?.report?.call_trace.slice(0, calls.length).map((call) => call.split("+")[0])).toEqual(calls);
  });
});

describe("the forms of the architectures", () => {
  test("Arm before 5.19 puts names into parentheses", () => {
    const text = [
      "PC is at foo_read+0x10/0x40 [foo]",
      "LR is at vfs_read+0x80/0x120",
      "Process cat (pid: 120, stack limit = 0xc1234210)",
      "[<bf0000a0>] (foo_read [foo]) from [<c0110a3c>] (vfs_read+0x80/0x120)",
      "[<c0110a3c>] (vfs_read) from [<c0110ba0>] (ksys_read+0x60/0xc8)",
      "[<c0110ba0>] (ksys_read) from [<c000e5a0>] (ret_fast_syscall+0x0/0x54)",
    ].join("\n");
    expect(gathered(text)).toMatchObject({ function: "foo_read+0x10/0x40 [foo]", process: "cat", callTrace: ["vfs_read", "ksys_read"] });
  });

  test("LoongArch", () => {
    const text = [
      "CPU: 0 UID: 0 PID: 77 Comm: cat Not tainted 7.0.0 #1 PREEMPT(full)",
      "   ra: 9000000000a11f30 vfs_read+0x90/0x2a0",
      "  ERA: 9000000000a12b70 foo_read+0x14/0x120",
      "Call Trace:",
      "[<9000000000a12b70>] foo_read+0x14/0x120",
      "[<9000000000a11f30>] vfs_read+0x90/0x2a0",
    ].join("\n");
    expect(gathered(text)).toMatchObject({
      function: "foo_read+0x14/0x120",
      kernel: "7.0.0",
      callTrace: ["foo_read+0x14/0x120", "vfs_read+0x90/0x2a0"],
    });
  });

  test("frames that the kernel is not sure of are told only where there are no others", () => {
    const unsure = ["Call Trace:", " ? foo+0x1/0x10", " ? bar+0x2/0x10"];
    expect(gathered(unsure.join("\n")).callTrace).toEqual(["foo+0x1/0x10", "bar+0x2/0x10"]);
    expect(gathered([...unsure, " baz+0x3/0x10"].join("\n")).callTrace).toEqual(["baz+0x3/0x10"]);
  });
});
