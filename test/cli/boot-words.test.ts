import { Command, Option } from "@commander-js/extra-typings";
import { expect, test } from "vitest";
import { bootRequestSchema, collectSaid, requestWords, splitChanges, wordsAgain } from "../../src/cli/boot-words.ts";

const ENV = { HOME: "/home/ann" };

test("what was said is kept in order, paths absolute and below home with ~, and gives the same words again", () => {
  const said = [
    { flag: "--disk", value: "8G,file=/home/ann/vm/a,,b.qcow2,bus=nvme" },
    { flag: "--kernel", value: "/home/ann/k" },
    { flag: "--ram", value: "512" },
    { flag: "--writable", value: null },
    { flag: "--log-dir", value: "/elsewhere" },
    { flag: "--json", value: null },
  ];
  const request = requestWords("/home/ann/x.iso", said, ENV);
  expect(request).toEqual({
    image: "~/x.iso",
    options: [
      { flag: "--disk", value: "8G,file=~/vm/a,,b.qcow2,bus=nvme" },
      { flag: "--kernel", value: "~/k" },
      { flag: "--ram", value: "512" },
      { flag: "--writable", value: null },
    ],
    masked: [],
  });
  expect(bootRequestSchema.parse(JSON.parse(JSON.stringify(request)))).toEqual(request);
  expect(wordsAgain(request, undefined, [], { HOME: "/home/bob" })).toEqual([
    "--disk=8G,file=~/vm/a,,b.qcow2,bus=nvme",
    "--kernel=/home/bob/k",
    "--ram=512",
    "--writable",
    "--",
    "/home/bob/x.iso",
  ]);
});

test("what is said anew takes the place of all its old values, under either of a flag's names", () => {
  const options = [
    { flag: "--disk", value: "1G" },
    { flag: "--disk", value: "2G" },
    { flag: "--ram", value: "512" },
    { flag: "--as", value: "usb" },
  ];
  const changes = [
    { flag: "--disk", value: "3G" },
    { flag: "--guest-ram", value: "64" },
  ];
  expect(wordsAgain({ image: "/x.iso", options, masked: [] }, "/other.iso", changes, ENV)).toEqual([
    "--as=usb",
    "--disk=3G",
    "--guest-ram=64",
    "--",
    "/other.iso",
  ]);
});

test("a secret in a kernel's command line is masked, and the flag is named", () => {
  const request = requestWords(undefined, [{ flag: "--append", value: "console=ttyS0 rd.password=hunter2" }], ENV);
  expect(request.image).toBeNull();
  expect(request.masked).toEqual(["--append"]);
  expect(JSON.stringify(request)).not.toContain("hunter2");
});

test("flags and operands are told apart by boot's own table", () => {
  const boot = new Command("boot").addOption(new Option("--ram <n>")).addOption(new Option("--writable"));
  expect(splitChanges(["a", "--ram", "5", "--writable", "b", "--ram=6", "--", "--c"], boot)).toEqual({
    operands: ["a", "b", "--c"],
    changes: [
      { flag: "--ram", value: "5" },
      { flag: "--writable", value: null },
      { flag: "--ram", value: "6" },
    ],
  });
  expect(splitChanges(["--ram"], boot).changes).toEqual([{ flag: "--ram", value: null }]);
});

test("every flag is heard as it was written, also one whose value is parsed", async () => {
  const command = new Command("x").addOption(new Option("--disk <d>").argParser(() => 7)).addOption(new Option("--on"));
  const said = collectSaid(command);
  await command.parseAsync(["--disk", "1G", "--on", "--disk=2G"], { from: "user" });
  expect(said).toEqual([
    { flag: "--disk", value: "1G" },
    { flag: "--on", value: null },
    { flag: "--disk", value: "2G" },
  ]);
});
