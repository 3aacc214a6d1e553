/** How the program on the stick meets a person: the screens that it has, as the main loop knows them. */
import type { Recorded } from "../../session/record.ts";
import type { PickerChoice } from "../picker/facts.ts";
import type { PickWish } from "../picker/pick.ts";
import type { RecordingScreen, RecordingScreenWish } from "../screen/recording-screen.ts";

/** How a boot ended that the loop was asked for. */
export type BootOutcome =
  | { readonly type: "recorded"; readonly recorded: Recorded }
  /** `recorded`: its session; undefined where none could be made. `message`: for a person. */
  | { readonly type: "failed"; readonly recorded: Recorded | undefined; readonly message: string }
  /** The image's own kernel is loaded. */
  | { readonly type: "handed_over"; readonly recorded: Recorded; readonly detail: string };

export type AfterChoice = "menu" | "poweroff" | "another" | "again";

export interface OnboardFace extends AsyncDisposable {
  /** A line for a person; it stays until something is drawn over it. Text from outside is made harmless by the face. */
  say(line: string): void;
  pick(wish: PickWish, signal: AbortSignal): Promise<PickerChoice>;
  /** Shows the boot while it runs. */
  show(wish: RecordingScreenWish): RecordingScreen;
  /** `patienceS`: after that without a key the computer is turned off. */
  after(outcome: BootOutcome, image: string, patienceS: number, signal: AbortSignal): Promise<AfterChoice>;
}
