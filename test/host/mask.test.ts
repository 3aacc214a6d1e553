import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Identity, maskIdentity } from "../../src/host/mask.ts";

/** Ada's computer. Composed: no line comes from a real one. */
const ADA: Identity = {
  hostname: "engine-7.lovelace.example",
  users: ["ada", "Ada Lovelace", "charles"],
  homes: ["/home/ada", "/srv/people/charles"],
};

describe("lines as computers print them", () => {
  test.each([
    // /proc/version
    [
      "Linux version 6.9.1 (ada@engine-7) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) #1 SMP PREEMPT_DYNAMIC Fri May 17 10:00:00 UTC 2024",
      "Linux version 6.9.1 (<user>@<host>) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) #1 SMP PREEMPT_DYNAMIC Fri May 17 10:00:00 UTC 2024",
    ],
    [
      "Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP Debian 6.1.76-1 (2024-02-01)",
      "Linux version 6.1.0-18-amd64 (<user>@<host>) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP Debian 6.1.76-1 (2024-02-01)",
    ],
    // /proc/cmdline
    [
      "BOOT_IMAGE=/boot/vmlinuz root=UUID=3e6be9de-8139-11d1-9106-a43f08d823a6 ro quiet console=ttyS0,115200",
      "BOOT_IMAGE=/boot/vmlinuz root=UUID=<uuid> ro quiet console=ttyS0,115200",
    ],
    ["root=PARTUUID=1b2c3d4e-01 resume=LABEL=ada-swap rootflags=subvol=@", "root=PARTUUID=<uuid> resume=LABEL=<label> rootflags=subvol=@"],
    ["root=/dev/mapper/engine--7--vg-root ro", "root=/dev/mapper/<host>--vg-root ro"],
    ["rd.luks.uuid=luks-3e6be9de-8139-11d1-9106-a43f08d823a6 rd.lvm.lv=engine-7/root", "rd.luks.uuid=<uuid> rd.lvm.lv=<host>/root"],
    ["ip=192.0.2.7::192.0.2.1:255.255.255.0:engine-7:eth0:off BOOTIF=01-52-54-00-12-34-56 quiet", "ip=<address> BOOTIF=<mac> quiet"],
    ["inst.vncpassword=hunter2 ostree_token=abc", "inst.vncpassword=<secret> ostree_token=<secret>"],
    ["systemd.hostname=other systemd.machine_id=0123456789abcdef0123456789abcdef", "systemd.hostname=<host> systemd.machine_id=<id>"],
    // dmesg
    [
      "[    0.000000] DMI: LENOVO 20XW0026GE/20XW0026GE, BIOS N32ET75W (1.51 ) 02/18/2022",
      "[    0.000000] DMI: LENOVO 20XW0026GE/20XW0026GE, BIOS N32ET75W (1.51 ) 02/18/2022",
    ],
    ["[    1.512345] usb 2-1: SerialNumber: 4C530001230506117354", "[    1.512345] usb 2-1: SerialNumber: <serial>"],
    [
      "[    2.000001] e1000e 0000:00:1f.6 eth0: (PCI Express:2.5GT/s:Width x1) 3c:e1:a1:00:7b:9F",
      "[    2.000001] e1000e 0000:00:1f.6 eth0: (PCI Express:2.5GT/s:Width x1) <mac>",
    ],
    [
      "[    2.100000] e1000e 0000:00:1f.6 enx3ce1a1007b9f: renamed from eth0",
      "[    2.100000] e1000e 0000:00:1f.6 enx<mac>: renamed from eth0",
    ],
    ["[    3.000000] systemd[1]: Hostname set to <engine-7>.", "[    3.000000] systemd[1]: Hostname set to <<host>>."],
    [
      "[    3.100000] systemd[1]: Started Getty on tty1 (getty@tty1.service).",
      "[    3.100000] systemd[1]: Started Getty on tty1 (getty@tty1.service).",
    ],
    [
      "[    0.7] Serial: 8250/16550 driver, 4 ports, IRQ sharing enabled",
      "[    0.7] Serial: 8250/16550 driver, 4 ports, IRQ sharing enabled",
    ],
    [
      "[    0.8] 00:05: ttyS0 at I/O 0x3f8 (irq = 4, base_baud = 115200) is a 16550A",
      "[    0.8] 00:05: ttyS0 at I/O 0x3f8 (irq = 4, base_baud = 115200) is a 16550A",
    ],
    // Disks, and those who describe them
    [
      "ata1.00: Model Number: Samsung SSD 870, Serial Number: S5Y2NJ0R123456, firmware SVT02B6Q",
      "ata1.00: Model Number: Samsung SSD 870, Serial Number: <serial>, firmware SVT02B6Q",
    ],
    [
      "\tSerial Number: VMware-56 4d 8e 3c 5f 9a 0b 1c\n\tWake-up Type: Power Switch",
      "\tSerial Number: <serial>\n\tWake-up Type: Power Switch",
    ],
    ["Asset Tag: 0042-FINANCE", "Asset Tag: <serial>"],
    ["  iSerial                 3 AA00000000000489", "  iSerial                 3 <serial>"],
    ["/dev/disk/by-id/ata-Samsung_SSD_870_S5Y2NJ0R123456-part1", "/dev/disk/by-id/<disk>"],
    ["wwid: naa.5002538f00000001, wwn-0x5002538f00000001", "wwid: <serial>, wwn-<serial>"],
    // QEMU's pages
    [
      '  dev: virtio-net-pci, id ""\n    mac = "52:54:00:12:34:56"\n    addr = 02.0',
      '  dev: virtio-net-pci, id ""\n    mac = "<mac>"\n    addr = 02.0',
    ],
    ['    serial = "QM00001"\n    model = ""', '    serial = <serial>\n    model = ""'],
    [
      "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56",
      "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=<mac>",
    ],
    [
      "image (#block123): /home/ada/Downloads/live image.iso (raw, read-only)",
      "image (#block123): ~/Downloads/live image.iso (raw, read-only)",
    ],
    ["inet6 fe80::5054:ff:fe12:3456/64 scope link; 2001:db8::5054:ff:fe12:3456", "inet6 <address>/64 scope link; <address>"],
    // Home folders and names
    [
      "/home/charles/x /home/adam/y /srv/people/charles/z /srv/people/charles2/z /run/media/ada/STICK",
      "/home/<user>/x /home/<user>/y ~/z /srv/people/charles2/z /run/media/<user>/STICK",
    ],
    ["owner Ada Lovelace (ADA), see Adams and Canada", "owner <user> (<user>), see Adams and Canada"],
    ["/run/user/1000/hiperiso", "/run/user/<user>/hiperiso"],
  ])("%j", (text, masked) => {
    expect(maskIdentity(text, ADA)).toBe(masked);
    expect(maskIdentity(masked, ADA)).toBe(masked);
  });

  test("what lspci, lscpu and /proc/meminfo say of hardware stays as it is", () => {
    const hardware = `00:1f.2 SATA controller [0106]: Intel Corporation 82801IR/IO/IH (ICH9R/DO/DH) [8086:2922] (rev 02)
\tSubsystem: Red Hat, Inc. QEMU Virtual Machine [1af4:1100]
\tKernel driver in use: ahci
Model name:            Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz
Flags:                 fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov
Vulnerability Mds:     Mitigation; Clear CPU buffers; SMT vulnerable
MemTotal:       16303344 kB
DirectMap2M:    15728640 kB
  0xffffffff81000000-0xffffffff82000000 : Kernel code
clk@ff000000 pci@0000:00:1f.2
`;
    expect(maskIdentity(hardware, ADA)).toBe(hardware);
  });
});

describe("names that identify nobody stay: text keeps its sense", () => {
  test.each(["debian", "localhost", "root", "user", "host", "pc", "x", "42"])("%s", (name) => {
    const text = `Debian 12 on localhost, root user of host pc x 42 ${name}`;
    expect(maskIdentity(text, { hostname: name, users: [name], homes: ["/"] })).toBe(text);
  });
});

describe("whatever stands around it", () => {
  const hexDigits = (count: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${count}}$`));
  const around = fc.constantFrom("", " ", ", ", "=", '"', "(", ")", "\n", "[", "]", ";", "'");
  const nobody: Identity = { hostname: "", users: [], homes: [] };

  test("a MAC address is gone", () => {
    fc.assert(
      fc.property(
        fc.array(hexDigits(2), { minLength: 6, maxLength: 6 }),
        fc.constantFrom(":", "-"),
        around,
        around,
        fc.boolean(),
        (octets, separator, before, after, upper) => {
          const address = upper ? octets.join(separator).toUpperCase() : octets.join(separator);
          expect(maskIdentity(`x${before || " "}${address}${after}`, nobody)).not.toContain(address);
        },
      ),
    );
  });

  test("a UUID is gone", () => {
    fc.assert(
      fc.property(fc.uuid(), around, around, (uuid, before, after) => {
        expect(maskIdentity(`x${before || " "}${uuid}${after}`, nobody)).not.toContain(uuid);
      }),
    );
  });

  test("a serial number is gone, however it is called", () => {
    const serial = fc.stringMatching(/^[A-Z0-9]{3,4}[0-9][A-Z0-9]{4,12}$/);
    const name = fc.constantFrom(
      "serial=",
      "Serial Number: ",
      "SerialNumber: ",
      "serial = ",
      "product_serial: ",
      "S/N: ",
      "serial: ",
      "iSerial 3 ",
      "WWN: ",
    );
    fc.assert(
      fc.property(serial, name, (number, key) => {
        expect(maskIdentity(`disk, ${key}${number}\n`, nobody)).not.toContain(number);
      }),
    );
  });

  test("a host name is gone, in any case, whole or by its first label, also where device-mapper doubles its dashes", () => {
    const label = fc.stringMatching(/^[a-z]{2}[a-z0-9]{0,4}(-[a-z0-9]{1,5})?qz$/);
    fc.assert(
      fc.property(label, around, around, (hostname, before, after) => {
        const forms = [hostname, hostname.toUpperCase(), hostname.replaceAll("-", "--"), `${hostname}.example.org`];
        for (const form of forms) {
          const masked = maskIdentity(`on ${before}${form}${after} it ran`, { hostname: `${hostname}.example.org`, users: [], homes: [] });
          expect(masked.toLowerCase()).not.toContain(hostname);
        }
      }),
    );
  });

  test("a user's name and home folder are gone, also when they look like a pattern", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^qz[a-z.+*?$()[\]|\\^{}]{1,8}x$/), around, around, (name, before, after) => {
        const home = `/data/${name}`;
        const masked = maskIdentity(`a ${before}${name}${after} b ${before}${home}/f${after}`, {
          hostname: "",
          users: [name],
          homes: [home],
        });
        expect(masked).not.toContain(name);
      }),
    );
  });

  test("masking twice changes nothing, and any text is taken", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const once = maskIdentity(text, ADA);
        expect(maskIdentity(once, ADA)).toBe(once);
      }),
    );
  });
});
