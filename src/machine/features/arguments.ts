/** The extras of a machine in QEMU's words. Pure: one element per argument. */
import { qemuOptionValue } from "../../formats/escape-qemu-option.ts";
import { type DisplayPlan, type Extras, SHARE_DEVICE, TPM_DEVICE } from "./extras.ts";

/** Where the files of these devices stand. All absolute, but sockets, which may be relative to QEMU's working directory. */
export interface ExtrasPlaces {
  readonly vncSocket: string;
  readonly tpmSocket: string;
}

export function displayArguments(display: DisplayPlan, { vncSocket }: ExtrasPlaces): readonly string[] {
  switch (display.kind) {
    case "none":
      return ["-display", "none"];
    case "gtk":
      return ["-display", "gtk"];
    default:
      return ["-display", `vnc=${vncAddress(display.place, vncSocket)}`];
  }
}

/** QEMU counts displays, each at the port 5900 + its number. `to`: it goes on to the next when a port is taken. */
const VNC_FIRST_PORT = 5900;
const VNC_TRIES = 99;

function vncAddress(place: "socket" | "auto" | number, socket: string): string {
  if (place === "socket") return `unix:${qemuOptionValue(socket)}`;
  return place === "auto" ? `127.0.0.1:0,to=${VNC_TRIES}` : `127.0.0.1:${place - VNC_FIRST_PORT}`;
}

export function deviceExtras({ tpm, shares }: Extras, { tpmSocket }: ExtrasPlaces): readonly string[] {
  const tpmWords =
    tpm === null
      ? []
      : [
          ...["-chardev", `socket,id=tpm,path=${qemuOptionValue(tpmSocket)}`],
          ...["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", `${TPM_DEVICE},tpmdev=tpm0`],
        ];
  return [
    ...tpmWords,
    ...shares.flatMap(({ path, tag, writable }) => [
      // Files in it belong to whoever runs QEMU: a guest's owners and modes are not kept, and nothing needs a right that we have not.
      ...[
        "-fsdev",
        `local,id=${tag},path=${qemuOptionValue(path)},security_model=none,multidevs=remap,readonly=${writable ? "off" : "on"}`,
      ],
      ...["-device", `${SHARE_DEVICE},fsdev=${tag},mount_tag=${tag}`],
    ]),
  ];
}
