/** How a boot ended in which no guest ran, before what is known of it is put in its places. */
import type { Ending } from "../contract/session.ts";

export const UNSTARTED = {
  goal_reached: false,
  duration_ms: null,
  firmware: null,
  accelerator: null,
  resets: 0,
  qemu_exit_code: null,
  qemu_signal: null,
  serial_bytes: 0,
  screen: "",
  screen_drawn: null,
  still: false,
} satisfies Partial<Ending>;
