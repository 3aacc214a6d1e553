import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readIdentity } from "../../src/host/identity.ts";
import { collectHostInventory, type InventoryFile } from "../../src/host/inventory.ts";
import { type Identity, maskIdentity } from "../../src/host/mask.ts";

const ADA: Identity = { hostname: "engine-7", users: ["ada"], homes: ["/home/ada"] };

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(root, { recursive: true }));

/** A file of the made-up /proc and /sys. */
async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}

async function putAll(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await put(join(folder, name), `${content}\n`);
}

async function collect(): Promise<Readonly<Record<string, string>>> {
  const files: InventoryFile[] = [];
  const options = { identity: ADA, signal: new AbortController().signal, proc: join(root, "proc"), sys: join(root, "sys") };
  for await (const file of collectHostInventory(options)) files.push(file);
  return Object.fromEntries(files.map(({ name, text }) => [name, text]));
}

describe("a made-up computer", () => {
  test("that tells nothing has no inventory, and that is no error", async () => {
    expect(await collect()).toEqual({});
  });

  test("processors: the first one in full, and how many there are", async () => {
    await put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Engine\n\nprocessor\t: 1\nmodel name\t: Engine\n\n");
    await put("sys/devices/system/cpu/online", "0-1\n");
    expect((await collect())["host_cpuinfo.txt"]).toBe("processor\t: 0\nmodel name\t: Engine\n\nonline\t\t: 0-1\n");
  });

  test("kernel and command line, masked", async () => {
    await put("proc/version", "Linux version 6.9.1 (ada@engine-7) #1 SMP\n");
    await put("proc/cmdline", "root=UUID=3e6be9de-8139-11d1-9106-a43f08d823a6 init=/home/ada/init\n");
    expect(await collect()).toEqual({
      "host_kernel.txt": "Linux version 6.9.1 (<user>@<host>) #1 SMP\n",
      "host_cmdline.txt": "root=UUID=<uuid> init=~/init\n",
    });
  });

  test("PCI devices, in the order of their slots", async () => {
    const device = { vendor: "0x8086", device: "0x2922", class: "0x010601", subsystem_vendor: "0x1af4", subsystem_device: "0x1100" };
    await putAll("sys/bus/pci/devices/0000:00:1f.2", device);
    await putAll("sys/bus/pci/devices/0000:00:02.0", { ...device, class: "0x030000" });
    await symlink("../../../../bus/pci/drivers/ahci", join(root, "sys/bus/pci/devices/0000:00:1f.2/driver"));
    expect((await collect())["host_pci.txt"]).toBe(
      "0000:00:02.0 class 030000 8086:2922 subsystem 1af4:1100 driver -\n0000:00:1f.2 class 010601 8086:2922 subsystem 1af4:1100 driver ahci\n",
    );
  });

  test("USB devices without what people call them", async () => {
    const device = { idVendor: "0781", idProduct: "5583", version: " 3.20", speed: "5000", bDeviceClass: "00" };
    await putAll("sys/bus/usb/devices/2-10", { ...device, product: "Ada's telephone", serial: "4C530001230506117354" });
    await putAll("sys/bus/usb/devices/2-9", device);
    await putAll("sys/bus/usb/devices/2-9:1.0", { bInterfaceClass: "08" });
    const line = (name: string) => `${name} 0781:5583 USB 3.20, 5000 Mb/s, class 00\n`;
    expect((await collect())["host_usb.txt"]).toBe(line("2-9") + line("2-10"));
  });

  test("disks with their size and model, without their serial numbers, and without drives that hold nothing", async () => {
    const disk = { size: "1000215216", removable: "0", ro: "0", "queue/rotational": "0", "queue/logical_block_size": "512" };
    await putAll("sys/block/sda", {
      ...disk,
      "device/model": "Samsung SSD 870",
      "device/serial": "S5Y2NJ0R123456",
      wwid: "naa.5002538f00000001",
    });
    await putAll("sys/block/loop0", { ...disk, size: "0" });
    expect((await collect())["host_block.txt"]).toBe(
      "sda 488386 MiB, rotational 0, removable 0, read-only 0, block 512, model Samsung SSD 870\n",
    );
  });

  test("the maker's names, without serial numbers, UUID and asset tags", async () => {
    await putAll("sys/class/dmi/id", {
      sys_vendor: "Analytical",
      product_name: "Engine\x07 1",
      bios_version: "1837",
      product_serial: "S1",
      product_uuid: "U1",
      board_serial: "B1",
      chassis_asset_tag: "A1",
    });
    expect((await collect())["host_dmi.txt"]).toBe("sys_vendor: Analytical\nproduct_name: Engine 1\nbios_version: 1837\n");
  });

  test("firmware: BIOS, or UEFI with its width and Secure Boot", async () => {
    await put("sys/firmware/memmap/0/type", "System RAM\n");
    expect((await collect())["host_firmware.txt"]).toBe("interface: bios\n");
    await put("sys/firmware/efi/fw_platform_size", "64\n");
    expect((await collect())["host_firmware.txt"]).toBe("interface: efi\nbits: 64\n");
    const variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    for (const [byte, word] of [
      [0, "off"],
      [1, "on"],
    ] as const) {
      await put(variable, Uint8Array.of(6, 0, 0, 0, byte));
      expect((await collect())["host_firmware.txt"]).toBe(`interface: efi\nbits: 64\nsecure boot: ${word}\n`);
    }
  });

  test("a file of any size stays small", async () => {
    await put("proc/meminfo", "MemTotal: 1 kB\n".repeat(100_000));
    for (let number = 0; number < 600; number++) await put(`sys/bus/usb/devices/1-${number}/idVendor`, "0781\n");
    const files = await collect();
    expect(files["host_meminfo.txt"]?.length).toBe(65_536);
    expect(files["host_usb.txt"]?.split("\n")).toHaveLength(512 + 1);
  });

  test("a cancelled collection ends", async () => {
    await put("proc/meminfo", "MemTotal: 1 kB\n");
    const options = { identity: ADA, signal: AbortSignal.abort(new Error("enough")), proc: join(root, "proc"), sys: join(root, "sys") };
    await expect(collectHostInventory(options).next()).rejects.toThrow("enough");
  });
});

test("this computer: files by their names, each already masked, none empty", async () => {
  const identity = readIdentity(process.env);
  const names: string[] = [];
  for await (const { name, text } of collectHostInventory({ identity, signal: new AbortController().signal })) {
    names.push(name);
    expect(name).toMatch(/^host_[a-z]+\.txt$/);
    expect(text).toMatch(/\S\n$/);
    expect(maskIdentity(text, identity)).toBe(text);
  }
  expect(names).toEqual(expect.arrayContaining(["host_cpuinfo.txt", "host_meminfo.txt", "host_kernel.txt", "host_cmdline.txt"]));
});
